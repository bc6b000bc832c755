import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readText, root } from './repository.ts';

/**
 * Checks package-lock.json for what makes `npm ci` fail on somebody else's machine, and with `--write` mends it.
 *
 * npm leaves out of the lock what its registry could not name when the lock was written: with a partial mirror, the packages of
 * foreign platforms (`@biomejs/cli-darwin-arm64`). A later `npm ci` then finds the lock out of step and stops. An entry without a hash is
 * enough: those packages are never fetched on the platforms that kstitch runs on.
 */
interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly license?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly bin?: unknown;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optional?: boolean;
}

interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

const LOCK = 'package-lock.json';
const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];

/** @returns the entries that are missing, by their paths in the lock */
export function findMissing({ packages }: Lock): Record<string, LockEntry> {
  const missing: Record<string, LockEntry> = {};
  for (const entry of Object.values(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (packages[path] === undefined) missing[path] = describe(name, version, entry);
    }
  }
  return missing;
}

/** Which platform such a package is for stands in its name: `@oxlint/binding-linux-arm-musleabihf`. */
function describe(name: string, version: string, owner: LockEntry): LockEntry {
  const words = name.split(/[/-]/);
  const libc = words.some(word => word.startsWith('musl'))
    ? 'musl'
    : words.some(word => word.startsWith('gnu'))
      ? 'glibc'
      : undefined;
  const cpu = words.filter(word => processors.includes(word));
  const os = words.filter(word => systems.includes(word));
  return {
    version,
    cpu,
    ...(owner.dev === true ? { dev: true } : {}),
    ...(libc === undefined ? {} : { libc: [libc] }),
    ...(owner.license === undefined ? {} : { license: owner.license }),
    optional: true,
    os,
  };
}

/** @returns one line for every problem */
export function checkLock(lock: Lock): string[] {
  const problems = Object.keys(findMissing(lock)).map(
    path => `${LOCK}: '${path}' is missing; run 'node scripts/check-lock.ts --write'`,
  );
  for (const [path, entry] of Object.entries(lock.packages)) {
    const where = `${LOCK}: '${path}'`;
    if (entry.hasInstallScript === true)
      problems.push(`${where} wants an install script; 'npm ci --ignore-scripts' has to be enough`);
    if (entry.resolved !== undefined && entry.link !== true)
      problems.push(`${where} names the registry it came from`);
  }
  if (lock.packages['packages/cli']?.bin === undefined)
    problems.push(`${LOCK}: 'packages/cli' has no bin, so npm would make no 'kstitch'`);
  return problems;
}

if (import.meta.main) {
  const lock = JSON.parse(readText(LOCK)) as Lock;
  if (process.argv.includes('--write')) {
    const entries = Object.entries({ ...lock.packages, ...findMissing(lock) });
    const packages = Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b, 'en')));
    writeFileSync(join(root, LOCK), `${JSON.stringify({ ...lock, packages }, undefined, 2)}\n`);
  } else {
    const problems = checkLock(lock);
    for (const problem of problems) console.error(problem);
    process.exitCode = problems.length === 0 ? 0 : 1;
  }
}
