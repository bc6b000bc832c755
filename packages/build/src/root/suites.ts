/** Debian releases that kernels come from, and where their packages are. */
import { KstitchError } from '@kstitch/report/error';

export interface Suite {
  /** `trixie` */
  readonly name: string;
  /** Lines of sources.list. */
  readonly sources: string;
}

/** By the number that a kernel's release names (`6.12.117+deb13-cloud-amd64`). */
const names: ReadonlyMap<string, string> = new Map([
  ['12', 'bookworm'],
  ['13', 'trixie'],
]);

/** Variables by which another archive takes the place of Debian's own, and what stands without them. */
const settings = {
  KSTITCH_DEBIAN_MIRROR: 'http://deb.debian.org/debian',
  KSTITCH_DEBIAN_SECURITY_MIRROR: 'http://deb.debian.org/debian-security',
  KSTITCH_DEBIAN_KEYRING: '/usr/share/keyrings/debian-archive-keyring.gpg',
} as const;

/**
 * @param release - as `uname -r` prints it
 * @returns the Debian release that the kernel is made for; undefined when its name does not tell
 * @throws KstitchError - `root-setting-invalid`
 */
export function suiteOf(
  release: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Suite | undefined {
  // Debian 12's own series has no number in it: 6.1.0-55-cloud-amd64.
  const number = /\+deb(\d+)-/.exec(release)?.[1] ?? (/^6\.1\.0-\d+-/.test(release) ? '12' : undefined);
  const name = names.get(number ?? '');
  return name === undefined ? undefined : describeSuite(name, environment);
}

/** @returns every suite that kstitch knows, newest first */
export function allSuites(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): readonly Suite[] {
  return [...names.values()].toReversed().map(name => describeSuite(name, environment));
}

function describeSuite(name: string, environment: Readonly<Record<string, string | undefined>>): Suite {
  const setting = (variable: keyof typeof settings) => {
    const value = environment[variable] ?? settings[variable];
    // It becomes part of a line of sources.list.
    if (/[\s[\]]/.test(value) || value === '') {
      throw new KstitchError(
        'root-setting-invalid',
        `read ${variable}: '${value}' is empty or has a space or bracket`,
      );
    }
    return value;
  };
  const line = (mirror: string, suite: string) =>
    `deb [arch=amd64 signed-by=${setting('KSTITCH_DEBIAN_KEYRING')}] ${mirror} ${suite} main`;
  const sources = [
    line(setting('KSTITCH_DEBIAN_MIRROR'), name),
    line(setting('KSTITCH_DEBIAN_SECURITY_MIRROR'), `${name}-security`),
  ];
  return { name, sources: sources.join('\n') };
}
