/** A PATH with nothing in it but what kstitch asks for: what a program needs and does not ask for is missing there. */
import { mkdir, readdir, realpath, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Purpose, type RequiredPackage, requiredPackages } from '@kstitch/host/debian-packages';
import { run } from '@kstitch/host/run';

const binFolders = ['/usr/bin', '/usr/sbin', '/bin', '/sbin'] as const;

/**
 * @param directory - to be made; filled with links
 * @param purposes - what is going to be done
 * @returns a PATH with the programs of the Debian packages for these purposes, of those that every Debian has, and of all that
 *   they depend on
 */
export async function pathOfPurposes(directory: string, purposes: readonly Purpose[]): Promise<string> {
  const table: readonly RequiredPackage[] = requiredPackages;
  const wanted = table.filter(entry => entry.purposes.some(purpose => purposes.includes(purpose)));
  const names = await withDependencies([...(await essentialPackages()), ...wanted.map(entry => entry.name)]);
  // Status 1: of alternatives not every one is installed.
  const { stdout } = await run('dpkg', ['-L', ...names], { allowStatus: [1] });
  const owned = new Set(
    await Promise.all(
      stdout
        .split('\n')
        .filter(path => /^(?:\/usr)?\/s?bin\/[^/]+$/.test(path))
        .map(path => realpath(path).catch(() => path)),
    ),
  );
  await mkdir(directory);
  const linked = new Set<string>();
  for (const folder of binFolders) {
    const names = await readdir(folder).catch(() => []);
    await Promise.all(
      names.map(async name => {
        if (linked.has(name)) return;
        linked.add(name);
        // By what a name leads to: `awk` is a link that no package owns, to mawk.
        const target = await realpath(join(folder, name)).catch(() => '');
        if (owned.has(target)) await symlink(join(folder, name), join(directory, name));
      }),
    );
  }
  return directory;
}

async function essentialPackages(): Promise<readonly string[]> {
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Package} ${Essential} ${Priority}\\n']);
  return stdout
    .split('\n')
    .filter(line => / yes | required$/.test(line))
    .map(line => line.split(' ', 1)[0] ?? '');
}

async function withDependencies(names: readonly string[]): Promise<readonly string[]> {
  const without = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'];
  const { stdout } = await run('apt-cache', [
    'depends',
    '--recurse',
    '--installed',
    ...without.map(kind => `--no-${kind}`),
    ...names,
  ]);
  // A line that is not indented is a package; `<awk>` is a name for several.
  const known = stdout.split('\n').filter(line => /^[a-z0-9]/.test(line));
  return [...new Set([...known, ...names])];
}
