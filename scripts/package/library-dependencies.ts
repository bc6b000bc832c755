import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Packages of the shared libraries that Node.js is linked with. */
const libraryPackages = ['libc6', 'libgcc-s1', 'libstdc++6'] as const;

/**
 * The least versions of libraries that a program needs, found as dpkg-shlibdeps(1) finds them: each library's package says
 * since when it has a version of its symbols (`GLIBC_2.28@GLIBC_2.28 2.28`, deb-symbols(5)).
 *
 * @param program - path of an ELF file with section headers
 * @returns for `Depends`: `libc6 (>= 2.28)`
 */
export function libraryDependencies(program: string): string[] {
  const text = (tool: string, ...words: readonly string[]): string =>
    execFileSync(tool, words, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  const needs = text('readelf', '--version-info', '--wide', program).split('Version needs section')[1] ?? '';
  const needed = new Set(
    Array.from(needs.matchAll(/Name: (?<name>\S+)/g), ({ groups }) => groups?.['name'] ?? ''),
  );
  const dependencies = libraryPackages.map(name => {
    const symbols = text('dpkg-query', '--control-path', `${name}:amd64`, 'symbols').trim();
    const versions: string[] = [];
    for (const { groups } of readFileSync(symbols, 'utf8').matchAll(
      /^ (?<tag>\S+)@\k<tag> (?<since>[\d.]+)/gm,
    )) {
      const { tag = '', since = '' } = groups ?? {};
      if (needed.delete(tag)) versions.push(since);
    }
    return `${name} (>= ${versions.sort(compareVersions).at(-1) ?? '0'})`;
  });
  if (needed.size > 0)
    throw new Error(`${libraryPackages.join(', ')}: none of them has ${[...needed].join(', ')}`);
  return dependencies;
}

/** `2.9` is older than `2.28`. */
function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
