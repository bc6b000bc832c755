import type { CatalogueEntry } from './entry.ts';

/** Types that a patch changes under code that stays unpatched. */
export const layoutCodes = {
  'export-type-changed': {
    kind: 'refusal',
    meaning:
      'The patch changes the declaration of a symbol that is exported: modules that are loaded, or loaded later, use it as it was declared.',
    help: 'Leave the symbol as it is, and give what the patch needs to a new function that it calls.',
    example: "the patch changes the type of the exported 'vfs_fsync'",
  },
  'export-crc-changed': {
    kind: 'caution',
    meaning:
      'genksyms gives an exported symbol another CRC after the patch, though its own declaration is the same: a type that it hangs on changes, or an include made one known. The running kernel keeps its exports and their CRCs; layouts of types are compared by themselves.',
    help: 'Nothing needs to be done, unless the note names a type that the patch changes on purpose.',
    example: "the CRC of the exported 'vfs_fsync' changes",
  },
  'export-not-compared': {
    kind: 'caution',
    meaning:
      'The CRC that genksyms computes of the unpatched source is not the one of the shipped Module.symvers, so that the types of the exported symbol cannot be compared.',
    help: 'Look yourself whether the patch changes how the symbol is declared.',
    example: "the type of the exported 'foo' cannot be compared: its CRC is not the shipped one",
  },
  'struct-layout-changed': {
    kind: 'refusal',
    meaning:
      'A struct or union has another size with the patch, or a member of it lies elsewhere, is wider, or is of another kind. Code that the livepatch does not replace, and objects that were made before it was loaded, keep the old layout.',
    help: 'Leave the struct as it is and keep the new member in a shadow variable (docs/patch-authors.md) or in a hole between members. If no code outside of the patch and no object made before ever uses it, build with --accept-layout and its name.',
    example:
      "the patch changes the layout of 'struct mb_cache': member 'c_max_entries' from byte 8 to byte 16",
  },
  'struct-hole-used': {
    kind: 'caution',
    meaning:
      'A struct keeps its size and every member its place, and a new member lies where there was a hole. Objects that are older than the livepatch, or made by unpatched code, hold whatever was in that memory.',
    help: 'Make sure that all objects are allocated zeroed and that zero is a good value for the new member.',
    example: "the patch puts member 'flags' into a hole of 'struct mb_cache' at byte 36",
  },
  'enum-value-changed': {
    kind: 'refusal',
    meaning:
      'An enumerator has another value with the patch. Unpatched code was compiled with the old value, and data holds it.',
    help: 'Put new enumerators behind the existing ones, with values that nothing uses; leave a count at the end (NR_…, …_MAX) as it is. If no unpatched code uses the values that moved, build with --accept-layout and the name of the enumerator.',
    example: "the patch changes the value of 'BIO_NO_PAGE_REF' from 0 to 1",
  },
  'layout-accepted': {
    kind: 'caution',
    meaning:
      'A changed struct or enumerator was accepted with --accept-layout: its author says that no unpatched code uses it.',
    help: 'Check that in a review: nothing else does.',
    example: "accepted: the patch changes the layout of 'struct mb_cache': its size from 48 to 56 bytes",
  },
  'layout-not-changed': {
    kind: 'usage',
    meaning:
      'An option --accept-layout names something that the patch does not change. Acceptances that outlive their reason would let a later change through.',
    help: 'Take the name out of the command line, or correct it: a struct, union or enum by its tag or typedef name, an enumerator by its own.',
    example: "--accept-layout names 'mb_cash', which the patch does not change",
  },
} as const satisfies Record<string, CatalogueEntry>;
