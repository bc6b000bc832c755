import type { Context } from '@kstitch/report/context';

/** One package as the archive's signed index describes it. */
export interface PackageInfo {
  readonly name: string;
  readonly version: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** The packages that one kernel release is made of. */
export interface KernelPackages {
  readonly release: string;
  /** Version of the kernel package: `6.1.192-1`. */
  readonly version: string;
  /** Series the source package is named for: `6.1`. */
  readonly series: string;
  /** vmlinuz, configuration, modules. */
  readonly image: PackageInfo;
  /** Configuration, Module.symvers and generated headers of the flavour. */
  readonly headers: PackageInfo;
  /** Headers that all flavours share. */
  readonly commonHeaders: PackageInfo;
  /** kbuild's scripts and host tools, for building modules against the headers. */
  readonly kbuild: PackageInfo;
  readonly source: PackageInfo;
  /** Package of the compiler that the headers ask for: `gcc-12`. */
  readonly compiler?: string;
  /** The Debian part of the source package, with the patches that a real-time flavour is built with besides. */
  readonly patches?: PackageInfo;
}

/**
 * Where kernels come from: a release name becomes packages, a package becomes a file. Debian is the first provider.
 */
export interface Distribution {
  /** @returns the releases that a kit can be fetched for, newest first */
  releases(context: Context): Promise<readonly string[]>;
  /**
   * @throws KstitchError - `kit-release-unknown` with the nearest names, `kit-package-gone`,
   *   `kit-snapshot-unreachable`
   */
  locate(context: Context, release: string): Promise<KernelPackages>;
  /**
   * @param version - looked for in other releases of the distribution, too, where the machine's own does not have it
   * @returns the source packages of a series that can be had, newest first
   */
  sources(context: Context, series: string, version: string): Promise<readonly PackageInfo[]>;
  /**
   * Brings a package into the cache; one that is there already is not fetched again.
   *
   * @param update - is handed the progress in words
   * @returns path of the package file
   * @throws KstitchError - `kit-download-failed`
   */
  download(context: Context, wanted: PackageInfo, update: (detail: string) => void): Promise<string>;
}

/** @returns the packages, in the order in which a kit and an archive of one name them */
export function packagesOf(kernel: KernelPackages): readonly PackageInfo[] {
  const { image, headers, commonHeaders, kbuild, source, patches } = kernel;
  return [image, headers, commonHeaders, kbuild, source, ...(patches === undefined ? [] : [patches])];
}

/** @returns what a record says of a package, and no more than that */
export function plain({ name, version, size, sha256 }: PackageInfo): PackageInfo {
  return { name, version, size, sha256 };
}
