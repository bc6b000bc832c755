import type { CatalogueEntry } from './entry.ts';

export const elfCodes = {
  'elf-foreign': {
    kind: 'error',
    meaning: 'The file is not an ELF file: it does not begin with the ELF magic number.',
    help: 'Give an object or module file (.o, .ko); a compressed module (.ko.xz, .ko.zst) has to be unpacked first',
    example: "cannot read 'notes.txt' as ELF: it begins with 48 65 6c 6c, not 7f 45 4c 46",
  },
  'elf-class': {
    kind: 'error',
    meaning:
      'The file is a 32-bit ELF file, or names a class or byte order that does not exist. kstitch works on 64-bit kernels only.',
    help: 'Give a file built for a 64-bit kernel',
    example: "cannot read 'old.ko': ELFCLASS32, only 64-bit ELF files are supported",
  },
  'elf-truncated': {
    kind: 'error',
    meaning:
      'A header, a table or a section reaches beyond the end of the file: the file was cut off or is damaged.',
    help: 'Copy or build the file again, and compare its size and checksum with the original',
    example:
      "cannot read section header table of 'ext4.ko': 4416 bytes at byte 0x40a0 reach beyond the end at byte 0x3000",
  },
  'elf-malformed': {
    kind: 'error',
    meaning: 'A field of the file holds a value that the ELF specification does not allow.',
    help: 'Build or fetch the file again; if a tool wrote it this way, look at it with `readelf -hSW` and report it',
    example: "cannot read 'ext4.ko': sh_link of section 5 '.rela.text' is 99, the file has 69 sections",
  },
  'elf-unsupported': {
    kind: 'error',
    meaning:
      'The file is valid ELF but uses a part of it that kstitch does not know how to read or rewrite without losing something.',
    help: 'Build the file with gcc and binutils for a kernel that kstitch supports',
    example:
      "cannot read relocations of section 4 '.rel.text' of 'old.o': SHT_REL, only SHT_RELA is supported",
  },
  'elf-too-large': {
    kind: 'error',
    meaning:
      'The file asks for more than a named limit allows: a name, a string table or the whole file is too long.',
    help: 'Look at the file with `readelf -SW`; a file that kernels can load stays far below these limits',
    example: "cannot read st_name of symbol 7 of 'ext4.ko': longer than 16384 bytes",
  },
  'elf-not-encodable': {
    kind: 'error',
    meaning:
      'An object cannot be written: something in it refers to a section or symbol that was removed, or a value does not fit its field.',
    help: 'This is a mistake in kstitch: please report it together with the patch and the kernel release',
    example: "cannot write symbol 'vfs_read': its section was removed",
  },
} as const satisfies Record<string, CatalogueEntry>;
