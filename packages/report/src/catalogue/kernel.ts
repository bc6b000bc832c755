import type { CatalogueEntry } from './entry.ts';

export const kernelCodes = {
  'kernel-vmlinuz': {
    kind: 'error',
    meaning:
      'The file is not a bootable x86 kernel image (bzImage) of boot protocol 2.08 or newer, or its header is damaged.',
    help: 'Give the vmlinuz of an amd64 linux-image package; compare its checksum with the package',
    example: "cannot find the compressed kernel in a file of 512 bytes: it has no 'HdrS' at byte 0x202",
  },
  'kernel-compression': {
    kind: 'error',
    meaning:
      'The kernel inside the vmlinuz is compressed in a way that kstitch does not unpack. gzip, xz, zstd and lz4 are unpacked.',
    help: 'Use a kernel whose .config has CONFIG_KERNEL_GZIP, CONFIG_KERNEL_XZ, CONFIG_KERNEL_ZSTD or CONFIG_KERNEL_LZ4 set',
    example: "cannot unpack a kernel compressed with 'lzo'",
  },
  'kernel-payload': {
    kind: 'error',
    meaning:
      'The compressed kernel could not be unpacked, or came out in another size than its own trailer says: the vmlinuz is damaged or was cut off.',
    help: 'Fetch the kernel package again and compare its checksum',
    example: 'cannot unpack the xz payload: it gives 52428800 bytes, its trailer says 53021344',
  },
  'kernel-image': {
    kind: 'error',
    meaning: 'The ELF file is not a kernel image as it comes out of a vmlinuz: an executable with sections.',
    help: 'Give the vmlinux unpacked from a linux-image package, not a module or an object file',
    example: "cannot use 'ext4.ko' as a kernel image: e_type is 1, not ET_EXEC (2)",
  },
  'kernel-kallsyms': {
    kind: 'error',
    meaning:
      "The kernel's own symbol table (kallsyms) was not found in the image, or its parts contradict each other. Without it no symbol of the kernel can be resolved.",
    help: 'Check that the kernel has CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y and is one of 6.1 to 6.12; if it is, the image is damaged: fetch it again',
    example: "cannot find kallsyms in 'vmlinux': no section holds a kallsyms token table",
  },
  'kernel-btf': {
    kind: 'error',
    meaning:
      "The kernel's type information (BTF) is missing or damaged, or lacks a type that a livepatch module depends on.",
    help: 'Check that the kernel has CONFIG_DEBUG_INFO_BTF=y; if it has, the image is damaged: fetch it again',
    example: "cannot lay out a module for 'vmlinux': its BTF has no struct 'module'",
  },
  'kernel-ftrace-sites': {
    kind: 'error',
    meaning:
      'The table of places where the kernel can redirect functions (__mcount_loc) was not found or is damaged.',
    help: 'Check that the kernel has CONFIG_DYNAMIC_FTRACE=y; if it has, the image or module is damaged: fetch it again',
    example: "cannot read the ftrace sites of 'vmlinux': kallsyms has no '__start_mcount_loc'",
  },
  'kernel-banner': {
    kind: 'error',
    meaning:
      'The line that the kernel prints first ("Linux version …") was not found in the image or is not worded as expected, so neither release nor compiler are known.',
    help: 'Give the vmlinux of a linux-image package',
    example: "cannot find the banner in 'vmlinux': no section holds 'Linux version ' and a release",
  },
  'kernel-text-file': {
    kind: 'error',
    meaning:
      "A text file of the kernel packages (Module.symvers, .config, modules.dep …) has a line that is not in that file's format.",
    help: 'Fetch the package that the file comes from again, and compare the file with it',
    example: "cannot read Module.symvers line 17: 'garbage' has 1 field, expected 4 or 5",
  },
  'kernel-module-unknown': {
    kind: 'error',
    meaning: 'A module is to be loaded, or is needed by one, that the kernel package does not contain.',
    help: "Check the name against the package's modules.order and modules.builtin; what is built in cannot be loaded",
    example: "cannot order modules for loading: no module 'virtio_blkk'",
  },
  'kernel-module-cycle': {
    kind: 'error',
    meaning: 'Modules that depend on each other in a circle can never be loaded.',
    help: 'The module files are damaged or belong to different kernels: fetch the package again',
    example: "cannot order modules for loading: 'a' needs 'b' needs 'a'",
  },
} as const satisfies Record<string, CatalogueEntry>;
