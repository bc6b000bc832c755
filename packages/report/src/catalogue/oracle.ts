import type { CatalogueEntry } from './entry.ts';

export const oracleCodes = {
  'oracle-disagrees': {
    kind: 'refusal',
    meaning:
      'The finished module was read once more with readelf and objdump and held against the compiled units and the kernel. It does not do what the source says: a byte, a relocation, a table entry or a patched function is not what it should be. Nothing is written.',
    help: 'This is a mistake in kstitch: please report it together with the patch and the kernel release',
    example:
      "the relocation at ext4_mb_init_group()+0x3c leads to 'ext4_mb_init_cache', and the source means 'ext4_get_group_info'",
  },
  'oracle-unreadable': {
    kind: 'error',
    meaning:
      'The output of readelf or objdump is not what it is known to be, so the finished module cannot be judged.',
    help: 'Use the binutils of the distribution that the kernel is from',
    example: "cannot judge 'unit0.after.o': readelf's line '  [ 1] ?' is not understood",
  },
} as const satisfies Record<string, CatalogueEntry>;
