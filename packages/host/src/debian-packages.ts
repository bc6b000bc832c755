/**
 * What a package is needed for: asking the package archive, fetching and preparing a kernel, building (which does that first when
 * it has not been done), virtual machines, the tests of all that.
 */
export type Purpose = 'archive' | 'kit' | 'build' | 'vm' | 'test';

export interface RequiredPackage {
  /** The Debian package. */
  readonly name: string;
  /** Said before installing: `gcc-12: the compiler that built the kernel`. */
  readonly why: string;
  /** None: it is not asked for in advance. */
  readonly purposes: readonly Purpose[];
  /** The programs it brings that kstitch or kbuild calls; none for header files. */
  readonly tools: readonly string[];
}

/**
 * Every Debian package kstitch calls a program of, directly or through kbuild. Those directly called that are Essential (tar,
 * diffutils, util-linux …) stand here too, so that a missing program can always be named with its package.
 */
export const requiredPackages = [
  {
    name: 'apt',
    why: 'fetches kernel packages',
    purposes: ['archive', 'kit', 'build'],
    tools: ['apt-get', 'apt-cache', 'apt-helper'],
  },
  {
    name: 'dpkg',
    why: 'knows what is installed, unpacks kernel packages',
    purposes: ['archive', 'kit', 'build', 'vm'],
    tools: ['dpkg-deb', 'dpkg-query', 'dpkg'],
  },
  { name: 'tar', why: 'unpacks the kernel source', purposes: ['kit', 'build'], tools: ['tar'] },
  {
    name: 'xz-utils',
    why: 'unpacks the kernel source, image and modules',
    purposes: ['kit', 'build', 'vm'],
    tools: ['xz'],
  },
  { name: 'diffutils', why: 'compares two kernel versions', purposes: ['kit', 'build'], tools: ['diff'] },
  {
    name: 'patch',
    why: 'applies the patches that real-time kernels are built with',
    purposes: ['kit', 'build'],
    tools: ['patch'],
  },
  {
    name: 'util-linux',
    why: 'ends programs with kstitch, keeps two kstitch apart, enters build roots',
    purposes: ['archive', 'kit', 'build', 'vm'],
    tools: ['setpriv', 'flock', 'prlimit', 'unshare'],
  },
  { name: 'mount', why: 'enters build roots', purposes: ['kit', 'build'], tools: ['mount'] },
  { name: 'bash', why: 'runs pipelines', purposes: ['kit', 'build'], tools: ['bash'] },
  { name: 'dash', why: 'runs scripts', purposes: ['archive', 'kit', 'build'], tools: ['sh'] },
  {
    name: 'coreutils',
    why: 'runs pipelines',
    purposes: ['archive', 'kit', 'build'],
    tools: ['cat', 'chroot', 'cp', 'env', 'mkfifo', 'printf', 'true'],
  },
  {
    name: 'ca-certificates',
    why: 'the package archive is reached over https',
    purposes: ['archive', 'kit', 'build'],
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
    tools: ['addr2line', 'ld', 'as', 'ar', 'nm', 'objcopy', 'objdump', 'readelf', 'strip'],
  },
  { name: 'flex', why: "generates kbuild's genksyms", purposes: ['kit', 'build'], tools: ['flex'] },
  { name: 'bison', why: "generates kbuild's genksyms", purposes: ['kit', 'build'], tools: ['bison'] },
  { name: 'bc', why: 'computes timeconst.h', purposes: ['kit', 'build'], tools: ['bc'] },
  { name: 'perl', why: 'generates kernel sources', purposes: ['kit', 'build'], tools: ['perl'] },
  {
    name: 'python3',
    why: "generates a header of kbuild's resolve_btfids",
    purposes: ['kit', 'build'],
    tools: ['python3'],
  },
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
  { name: 'qemu-system-x86', why: 'boots the kernel', purposes: ['vm'], tools: ['qemu-system-x86_64'] },
  { name: 'e2fsprogs', why: "makes the virtual machine's disk", purposes: ['vm'], tools: ['mke2fs'] },
  {
    name: 'busybox-static',
    why: 'the programs inside the virtual machine',
    purposes: ['vm'],
    tools: ['busybox'],
  },
  { name: 'cpio', why: "reads the virtual machine's files", purposes: ['test'], tools: ['cpio'] },
  { name: 'libc-bin', why: 'lists what a program is linked with', purposes: ['test'], tools: ['ldd'] },
  { name: 'git', why: 'applies patches', purposes: ['test'], tools: ['git'] },
  {
    name: 'findutils',
    why: 'looks for files written where none may be',
    purposes: ['test'],
    tools: ['find'],
  },
  { name: 'lintian', why: 'checks the Debian package', purposes: ['test'], tools: ['lintian'] },
  { name: 'mmdebstrap', why: 'makes a Debian for virtual machines', purposes: [], tools: ['mmdebstrap'] },
  {
    name: 'kmod',
    why: 'loads and removes livepatches',
    purposes: [],
    tools: ['insmod', 'rmmod', 'modprobe'],
  },
  // Debian's own kernels have their modules plain, or in xz.
  { name: 'gzip', why: 'unpacks modules shipped as .ko.gz', purposes: [], tools: ['gzip'] },
  { name: 'zstd', why: 'unpacks modules shipped as .ko.zst', purposes: [], tools: ['zstd'] },
] as const satisfies readonly RequiredPackage[];

/**
 * @param tool - a program's name, without a path: `qemu-system-x86_64`
 * @returns the package that brings it, or undefined when kstitch does not know the program
 */
export function packageOfTool(tool: string): string | undefined {
  const entries: readonly RequiredPackage[] = requiredPackages;
  return entries.find(entry => entry.tools.includes(tool))?.name;
}
