/**
 * What a package is needed for: fetching a kernel's packages, building (which fetches and prepares them first when that has
 * not been done), virtual machines.
 */
export type Purpose = 'kit' | 'build' | 'vm';

export interface RequiredPackage {
  /** The Debian package. */
  readonly name: string;
  /** Said before installing: `gcc-12: the compiler that built the kernel`. */
  readonly why: string;
  readonly purposes: readonly Purpose[];
  /** The programs it brings that kstitch or kbuild calls; none for header files. */
  readonly tools: readonly string[];
}

/**
 * Every Debian package kstitch calls a program of, directly or through kbuild. Those that are Essential (tar,
 * diffutils, util-linux) stand here too, so that a missing program can always be named with its package.
 */
export const requiredPackages = [
  {
    name: 'apt',
    why: 'fetches kernel packages',
    purposes: ['kit', 'build'],
    tools: ['apt-get', 'apt-cache'],
  },
  {
    name: 'dpkg',
    why: 'unpacks kernel packages',
    purposes: ['kit', 'build'],
    tools: ['dpkg-deb', 'dpkg-query'],
  },
  { name: 'tar', why: 'unpacks the kernel source', purposes: ['kit', 'build'], tools: ['tar'] },
  { name: 'xz-utils', why: 'unpacks the kernel source and image', purposes: ['kit', 'build'], tools: ['xz'] },
  { name: 'diffutils', why: 'compares two kernel versions', purposes: ['kit', 'build'], tools: ['diff'] },
  {
    name: 'util-linux',
    why: 'keeps two kstitch apart',
    purposes: ['kit', 'build'],
    tools: ['flock', 'setpriv'],
  },
  { name: 'bash', why: 'runs pipelines', purposes: ['kit', 'build'], tools: ['bash'] },
  { name: 'coreutils', why: 'runs pipelines', purposes: ['kit', 'build'], tools: ['cat', 'cp', 'nice'] },
  {
    name: 'ca-certificates',
    why: 'the package archive is reached over https',
    purposes: ['kit', 'build'],
    tools: [],
  },
  {
    name: 'gcc-12',
    why: 'the compiler that built the kernel',
    purposes: ['kit', 'build'],
    tools: ['gcc-12'],
  },
  { name: 'gcc', why: "compiles kbuild's own tools", purposes: ['kit', 'build'], tools: ['gcc'] },
  { name: 'libc6-dev', why: "compiles kbuild's own tools", purposes: ['kit', 'build'], tools: [] },
  { name: 'make', why: 'runs kbuild', purposes: ['kit', 'build'], tools: ['make'] },
  {
    name: 'binutils',
    why: 'assembles, links and reads objects',
    purposes: ['kit', 'build'],
    tools: ['ld', 'as', 'ar', 'nm', 'objcopy', 'objdump', 'readelf', 'strip'],
  },
  { name: 'flex', why: "generates kbuild's genksyms", purposes: ['kit', 'build'], tools: ['flex'] },
  { name: 'bison', why: "generates kbuild's genksyms", purposes: ['kit', 'build'], tools: ['bison'] },
  { name: 'bc', why: 'computes timeconst.h', purposes: ['kit', 'build'], tools: ['bc'] },
  { name: 'perl', why: 'generates kernel sources', purposes: ['kit', 'build'], tools: ['perl'] },
  {
    name: 'libelf-dev',
    why: 'objtool and resolve_btfids are built with it',
    purposes: ['kit', 'build'],
    tools: [],
  },
  {
    name: 'libssl-dev',
    why: 'sign-file and extract-cert are built with it',
    purposes: ['kit', 'build'],
    tools: [],
  },
  { name: 'cpio', why: 'generates the kernel headers archive', purposes: ['kit', 'build'], tools: ['cpio'] },
  {
    name: 'kmod',
    why: 'reads the order in which modules load',
    purposes: ['build', 'vm'],
    tools: ['modinfo', 'depmod'],
  },
  { name: 'qemu-system-x86', why: 'boots the kernel', purposes: ['vm'], tools: ['qemu-system-x86_64'] },
  {
    name: 'e2fsprogs',
    why: "makes the virtual machine's disk",
    purposes: ['vm'],
    tools: ['mkfs.ext4', 'mke2fs'],
  },
  {
    name: 'busybox-static',
    why: 'the programs inside the virtual machine',
    purposes: ['vm'],
    tools: ['busybox'],
  },
] as const satisfies readonly RequiredPackage[];

/**
 * @param tool - a program's name, without a path: `qemu-system-x86_64`
 * @returns the package that brings it, or undefined when kstitch does not know the program
 */
export function packageOfTool(tool: string): string | undefined {
  const entries: readonly RequiredPackage[] = requiredPackages;
  return entries.find(entry => entry.tools.includes(tool))?.name;
}
