/** The tree of kstitch's Debian package, and the package. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type RequiredPackage, requiredPackages } from '@kstitch/host/debian-packages';
import { wrapText } from '@kstitch/report/render-text';
import { version } from '@kstitch/report/version';
import { readText, root } from '../repository.ts';
import { readHelp } from './command-help.ts';
import { writeBashCompletion, writeZshCompletion } from './completions.ts';
import { writeCopyright } from './copyright.ts';
import { node } from './executable.ts';
import { libraryDependencies } from './library-dependencies.ts';
import { writeManPage } from './man-page.ts';

/** There is no address yet; this one can belong to nobody (RFC 2606). */
const maintainer = 'kstitch developers <maintainers@kstitch.invalid>';
const files = join(root, 'scripts/package/files');
/** The unit and the settings belong to the manager, which reads them. */
const system = join(root, 'packages/manager/system');

/** Debian's `Essential: yes` (bookworm and trixie): a package may not name them without a version (Policy 3.5). */
const essential: readonly string[] = [
  'bash',
  'coreutils',
  'dash',
  'diffutils',
  'dpkg',
  'findutils',
  'gzip',
  'libc-bin',
  'tar',
  'util-linux',
];

export interface PackageOptions {
  /** Of the executable. */
  readonly executable: string;
  /** The npm packages in it. */
  readonly npmPackages: readonly string[];
  /** Seconds since 1970: of all files. */
  readonly time: number;
  /** Of the archive: `xz` is a third smaller, `none` is there at once. */
  readonly compression: 'xz' | 'none';
}

/**
 * @param directory - an empty folder for the tree
 * @param path - of the package
 */
export async function makeDebianPackage(
  directory: string,
  path: string,
  options: PackageOptions,
): Promise<void> {
  const write = (name: string, content: string | Uint8Array, mode = 0o644): void => {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
    chmodSync(join(directory, name), mode);
  };
  const copy = (name: string, from: string, mode = 0o644): void => write(name, readFileSync(from), mode);
  const zipped = (text: string): Buffer => gzipSync(text, { level: 9 });
  const date = new Date(options.time * 1000);
  const help = await readHelp();

  copy('usr/bin/kstitch', options.executable, 0o755);
  write(
    'usr/share/man/man1/kstitch.1.gz',
    zipped(writeManPage(help, version, date.toISOString().slice(0, 10))),
  );
  write('usr/share/bash-completion/completions/kstitch', writeBashCompletion(help));
  write('usr/share/zsh/vendor-completions/_kstitch', writeZshCompletion(help));
  copy('etc/kstitch.toml', join(system, 'kstitch.toml'));
  copy('lib/systemd/system/kstitch.service', join(system, 'kstitch.service'));
  write('usr/share/doc/kstitch/copyright', writeCopyright(options.npmPackages));
  write('usr/share/doc/kstitch/changelog.gz', zipped(writeChangelog(date)));
  copy('usr/share/lintian/overrides/kstitch', join(files, 'lintian-overrides'));
  for (const script of ['postinst', 'prerm', 'postrm']) copy(`DEBIAN/${script}`, join(files, script), 0o755);
  write('DEBIAN/conffiles', '/etc/kstitch.toml\n');
  const installed = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !entry.parentPath.includes('/DEBIAN'))
    .map(entry => join(entry.parentPath, entry.name))
    .sort();
  const sums = installed.map(
    file => `${createHash('md5').update(readFileSync(file)).digest('hex')}  ${relative(directory, file)}\n`,
  );
  write('DEBIAN/md5sums', sums.join(''));
  const size = installed.reduce((sum, file) => sum + Math.ceil(statSync(file).size / 1024), 0);
  write('DEBIAN/control', writeControl(size, libraryDependencies(node)));

  for (const name of ['', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })]) {
    const entry = join(directory, name);
    if (statSync(entry).isDirectory()) chmodSync(entry, 0o755);
    lutimesSync(entry, options.time, options.time);
  }
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${options.compression}`, '--build', directory, path], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(options.time) },
    stdio: 'pipe',
  });
}

/**
 * @param size - installed, KiB
 * @param libraries - what the executable is linked with
 */
function writeControl(size: number, libraries: readonly string[]): string {
  const recommended = (requiredPackages as readonly RequiredPackage[])
    .filter(({ name, purposes }) => !essential.includes(name) && purposes.some(purpose => purpose !== 'test'))
    .map(({ name }) => name);
  return `Package: kstitch
Version: ${version}
Architecture: amd64
Maintainer: ${maintainer}
Installed-Size: ${size}
Depends: ${[...libraries, 'kmod'].join(', ')}
Recommends: ${recommended.join(', ')}
Section: admin
Priority: optional
Description: livepatches for stock Debian kernels, built, proven and loaded
 kstitch mends the Linux kernel while it runs. It turns a source patch into a
 livepatch module for a stock Debian kernel, shows in a virtual machine that
 the bug is there without it and gone with it, loads it without a reboot, and
 keeps it for the boots to come.
 .
 What it cannot do safely it refuses, saying why and what to do instead. The
 recommended packages are for building and proving livepatches; loading them
 needs none of these.
`;
}

/** CHANGELOG.md's entries of this version, in the form of deb-changelog(5). */
function writeChangelog(date: Date): string {
  const changelog = readText('CHANGELOG.md');
  const begin = changelog.indexOf(`\n## ${version}`);
  const [, section = ''] = changelog.slice(begin).split(/^## .*\n/m);
  const entries = section
    .split(/^- /m)
    .slice(1)
    // An example below an entry is for the page.
    .map(entry =>
      (entry.split(/\n\n|\n {2}```/)[0] ?? '').replaceAll(/[*`]/g, '').replaceAll(/\s+/g, ' ').trim(),
    );
  if (entries.length === 0) throw new Error(`CHANGELOG.md has no entry for ${version}`);
  return `kstitch (${version}) unstable; urgency=medium

${entries.flatMap(entry => wrapText(entry, 78, '  * ')).join('\n')}

 -- ${maintainer}  ${date.toUTCString().replace('GMT', '+0000')}
`;
}
