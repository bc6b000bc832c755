import type { RootContents } from '../root/build-root.ts';
import { type PackageInfo, plain } from './distribution.ts';

/** Raised whenever a kit of the old layout would not do any more; such kits are fetched again. */
export const manifestSchema = 1;

/** Its file, at the top of a kit. */
export const manifestName = 'kit.json';

/** What stands in a kit's `kit.json`: written last, so that a kit with a manifest is a whole one. */
export interface Manifest {
  readonly schema: typeof manifestSchema;
  readonly release: string;
  /** Version of the Debian package: `6.1.192-1`. */
  readonly packageVersion: string;
  readonly series: string;
  /** Folder of the unpacked headers of the flavour, below the kit. */
  readonly headers: string;
  /** How many units the flavour is built from. */
  readonly units: number;
  readonly packages: readonly PackageInfo[];
  /** The build root that the source was prepared in; absent when that was the machine itself. */
  readonly root?: RootContents;
}

/**
 * @param text - content of a `kit.json`
 * @returns the manifest; undefined when it is none, or of another schema
 */
export function parseManifest(text: string): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isManifest(value) ? value : undefined;
}

function isManifest(value: unknown): value is Manifest {
  return (
    isRecord(value) &&
    value['schema'] === manifestSchema &&
    isName(value['release']) &&
    isName(value['packageVersion']) &&
    isName(value['series']) &&
    typeof value['headers'] === 'string' &&
    !value['headers'].startsWith('/') &&
    !value['headers'].split('/').includes('..') &&
    Number.isSafeInteger(value['units']) &&
    Array.isArray(value['packages']) &&
    value['packages'].every(isPackageInfo) &&
    (value['root'] === undefined || isRoot(value['root']))
  );
}

/** @returns undefined for what is no description of a build root */
export function parseRoot(value: unknown): RootContents | undefined {
  return isRoot(value) ? { suite: value.suite, packages: value.packages.map(plain) } : undefined;
}

function isRoot(value: unknown): value is RootContents {
  return (
    isRecord(value) &&
    isName(value['suite']) &&
    Array.isArray(value['packages']) &&
    value['packages'].every(isPackageInfo)
  );
}

export function isPackageInfo(value: unknown): value is PackageInfo {
  return (
    isRecord(value) &&
    isName(value['name']) &&
    isName(value['version']) &&
    Number.isSafeInteger(value['size']) &&
    typeof value['sha256'] === 'string' &&
    /^[0-9a-f]{64}$/.test(value['sha256'])
  );
}

/** Of names and versions paths are made. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[\w][\w.+~:-]*$/.test(value);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
