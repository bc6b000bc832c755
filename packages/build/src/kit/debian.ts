import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { allSuites, suiteOf } from '../root/suites.ts';
import { Apt, type AptPackage } from './apt.ts';
import { compareDebianVersions } from './debian-version.ts';
import { type Distribution, type KernelPackages, type PackageInfo, plain } from './distribution.ts';
import { nearestNames } from './nearest-names.ts';
import { askSnapshotArchive, defaultSnapshot } from './snapshot.ts';

const imagePrefix = 'linux-image-';
/** `6.1.0-55-cloud-amd64`, `6.12.117+deb12-amd64`: series, the rest of the version, flavour. */
const releaseForm = /^(\d+\.\d+)(?:\.\d+)?([-+][\w.+~]*)?-((?:[a-z]+-)*[a-z0-9]+)$/;

export interface DebianOptions {
  /** Address of the snapshot archive, with or without a timestamp. */
  readonly snapshot?: string;
  /** The archive that is asked first, in place of the machine's sources. */
  readonly apt?: Apt;
  /** The archive of source packages, in place of Debian's own. */
  readonly sourceApt?: Apt;
}

/** Debian's kernels through apt. A release that the configured archives no longer have is looked for in a snapshot archive. */
export function debian(options: DebianOptions = {}): Distribution {
  let apt = options.apt ?? new Apt();
  /** By SHA-256: packages of another Debian release than the machine's. */
  const origins = new Map<string, Apt>();
  /** By SHA-256: parts of source packages. */
  const parts = new Map<string, Apt>();
  let sourceApt = options.sourceApt;
  const locateIn = (context: Context, release: string) =>
    locatePackages(apt, release, context.signal, async (name, version) => {
      sourceApt ??= sourcesFor(release);
      await sourceApt.refresh(context);
      const found = await sourceApt.showDebianPart(name, version, context.signal);
      if (found === undefined) throw packageGone(`${name} (source)`, version, []);
      parts.set(found.sha256, sourceApt);
      return found;
    });
  return {
    releases: async context => {
      await apt.refresh(context);
      return await listReleases(apt, context.signal);
    },
    locate: async (context, release) => {
      await apt.refresh(context);
      let gone = await whyGone(() => locateIn(context, release));
      if (!(gone instanceof KstitchError)) return gone;

      let offered = await listReleases(apt, context.signal);
      // A kernel of another Debian release than the machine's.
      const suite =
        options.apt === undefined && !mayHaveGone(release, offered) ? suiteOf(release) : undefined;
      if (gone.code === 'kit-release-unknown' && suite !== undefined) {
        apt = new Apt(`suite-${suite.name}`, suite.sources);
        await apt.refresh(context);
        gone = await whyGone(() => locateIn(context, release));
        if (!(gone instanceof KstitchError)) return gone;
        offered = await listReleases(apt, context.signal);
      }
      if (
        gone.code === 'kit-release-unknown' &&
        options.snapshot === undefined &&
        !mayHaveGone(release, offered)
      ) {
        throw unknownRelease(release, offered);
      }
      context.progress.note(
        `the archive no longer has all of the kernel '${release}'; asking the snapshot archive`,
      );
      const address = options.snapshot ?? defaultSnapshot;
      const near = `the archive itself offers ${quote(nearestNames(release, offered))}`;
      const snapshot = await askSnapshotArchive(context, address, imagePrefix + release, [
        gone.message,
        near,
      ]);
      if (snapshot === undefined)
        throw gone.code === 'kit-package-gone' ? gone : unknownRelease(release, offered);
      apt = new Apt(snapshot.name, snapshot.sources);
      sourceApt = new Apt(`${snapshot.name}-source`, asSources(snapshot.sources));
      await apt.refresh(context);
      return await locateIn(context, release);
    },
    sources: async (context, series, version) => {
      const name = `linux-source-${series}`;
      await apt.refresh(context);
      const own = await apt.show(name, context.signal);
      for (const suite of options.apt === undefined ? allSuites() : []) {
        if (own.some(found => found.version === version)) break;
        const other = new Apt(`suite-${suite.name}`, suite.sources);
        const found = await other.refresh(context).then(
          () => other.show(name, context.signal),
          (error: unknown) => {
            // What the machine's own archive has is then all there is.
            if (error instanceof KstitchError && error.code === 'kit-lists-failed') return [];
            throw error;
          },
        );
        if (!found.some(each => each.version === version)) continue;
        for (const { sha256 } of found) origins.set(sha256, other);
        return newestFirst(found);
      }
      return newestFirst(own);
    },
    download: (context, wanted, update) =>
      parts.get(wanted.sha256)?.downloadDebianPart(context, wanted, update) ??
      (origins.get(wanted.sha256) ?? apt).download(context, wanted, update),
  };
}

async function listReleases(apt: Apt, signal: AbortSignal): Promise<readonly string[]> {
  const names = await apt.names(`^${imagePrefix}[0-9]`, signal);
  return names
    .map(name => name.slice(imagePrefix.length))
    .filter(release => /^\d+\.\d+\.\d/.test(release) && !/-(dbg|unsigned|template)$/.test(release))
    .toSorted((a, b) => compareDebianVersions(b, a));
}

/** @returns what `locate` finds, or its error when that says that the archive lacks something */
async function whyGone(locate: () => Promise<KernelPackages>): Promise<KernelPackages | KstitchError> {
  try {
    return await locate();
  } catch (error) {
    const lacking =
      error instanceof KstitchError &&
      (error.code === 'kit-release-unknown' || error.code === 'kit-package-gone');
    if (!lacking) throw error;
    return error;
  }
}

/** A machine's apt sources seldom name source packages: those of the kernel's own Debian release are asked. */
function sourcesFor(release: string): Apt {
  const suite = suiteOf(release);
  if (suite === undefined) {
    throw new KstitchError(
      'kit-flavour-unsupported',
      `find the kernel '${release}': it is built with real-time patches, and its name does not tell which Debian release has them`,
    );
  }
  return new Apt(`source-${suite.name}`, asSources(suite.sources));
}

/** @returns lines of sources.list for source packages in place of those for binary ones */
function asSources(sources: string): string {
  return sources.replaceAll(/^deb (?:\[arch=\S+ )?/gm, start =>
    start === 'deb ' ? 'deb-src ' : 'deb-src [',
  );
}

async function locatePackages(
  apt: Apt,
  release: string,
  signal: AbortSignal,
  findPatches: (source: string, version: string) => Promise<PackageInfo>,
): Promise<KernelPackages> {
  const image = newest(await apt.show(imagePrefix + release, signal));
  if (image === undefined) throw unknownRelease(release, []);
  const { version } = image;
  const series = /^\d+\.\d+/.exec(version)?.[0] ?? version;
  const exactly = async (name: string) => {
    const found = await apt.show(name, signal);
    const exact = found.find(candidate => candidate.version === version);
    if (exact === undefined) throw packageGone(name, version, found);
    return exact;
  };
  const headers = await exactly(`linux-headers-${release}`);
  const needs = parseDepends(headers.depends);
  const common = needs.find(need => /^linux-headers-.*-common(?:-rt)?$/.test(need.name));
  const kbuild = needs.find(need => need.name.startsWith('linux-kbuild-'));
  if (common === undefined || kbuild === undefined) {
    throw new KstitchError(
      'kit-package-unexpected',
      `read '${headers.name}': it depends on no ${common === undefined ? 'common headers' : 'linux-kbuild'}`,
    );
  }
  // linux-compiler-gcc-12-x86, later gcc-12, gcc-14-for-host.
  const compiler = needs.flatMap(need => /(?:^|-)(gcc-\d+)(?:-|$)/.exec(need.name)?.[1] ?? [])[0];
  return {
    release,
    version,
    series,
    ...(compiler === undefined ? {} : { compiler }),
    image: plain(image),
    headers: plain(headers),
    commonHeaders: plain(await exactly(common.name)),
    kbuild: plain(await nearestKbuild(apt, kbuild.name, kbuild.atLeast ?? version, version, signal)),
    source: plain(await exactly(`linux-source-${series}`)),
    ...(/-rt-/.test(release) ? { patches: await findPatches(headers.source, version) } : {}),
  };
}

/**
 * One linux-kbuild serves every kernel of a series, so the archive often has it only in a newer version than the kernel.
 * What the headers demand is the oldest that will do.
 */
async function nearestKbuild(
  apt: Apt,
  name: string,
  atLeast: string,
  version: string,
  signal: AbortSignal,
): Promise<AptPackage> {
  const found = newestFirst(await apt.show(name, signal));
  const nearest =
    found.find(candidate => candidate.version === version) ??
    found.findLast(candidate => compareDebianVersions(candidate.version, atLeast) >= 0);
  if (nearest === undefined) throw packageGone(name, atLeast, found);
  return nearest;
}

interface Need {
  readonly name: string;
  readonly atLeast: string | undefined;
}

/** `linux-kbuild-6.1 (>= 6.1.192-1), gcc-12`: of alternatives the first. */
function parseDepends(depends: string): readonly Need[] {
  return depends.split(',').flatMap(text => {
    const match = /^\s*([a-z0-9][a-z0-9+.-]+)(?:\s*\((?:>=|=)\s*([^)]+)\))?/.exec(text);
    return match?.[1] === undefined ? [] : [{ name: match[1], atLeast: match[2] }];
  });
}

/**
 * An archive drops old kernels and never gains one between others: only what is older than the newest can have gone. Those of
 * another Debian release (`+deb12`, `+deb13`) never were there.
 */
function mayHaveGone(release: string, offered: readonly string[]): boolean {
  const wanted = releaseForm.exec(release);
  const madeFor = (name: string) => /\+deb\d+/.exec(name)?.[0];
  if (wanted === null) return false;
  return offered.some(other => {
    const kin = releaseForm.exec(other);
    return (
      kin !== null &&
      kin[1] === wanted[1] &&
      kin[3] === wanted[3] &&
      madeFor(other) === madeFor(release) &&
      compareDebianVersions(other, release) > 0
    );
  });
}

function unknownRelease(release: string, offered: readonly string[]): KstitchError {
  const near = nearestNames(release, offered);
  return new KstitchError(
    'kit-release-unknown',
    `find the kernel '${release}': no package '${imagePrefix}${release}' is offered`,
    {
      notes:
        near.length === 0
          ? []
          : [`the nearest names that exist: ${near.map(name => `'${name}'`).join(', ')}`],
    },
  );
}

function packageGone(name: string, version: string, found: readonly PackageInfo[]): KstitchError {
  const has = newestFirst(found).map(candidate => `'${candidate.version}'`);
  return new KstitchError(
    'kit-package-gone',
    `find '${name}' of version '${version}': the archive has ${has.length === 0 ? 'no version of it' : has.join(', ')}`,
  );
}

function newest(found: readonly AptPackage[]): AptPackage | undefined {
  return newestFirst(found)[0];
}

function newestFirst<T extends PackageInfo>(found: readonly T[]): readonly T[] {
  return found.toSorted((a, b) => compareDebianVersions(b.version, a.version));
}

function quote(names: readonly string[]): string {
  return names.map(name => `'${name}'`).join(', ');
}
