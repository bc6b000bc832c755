/** Folders whose files never become part of a kernel image or module. */
const outsideFolders = [
  ['Documentation/', 'documentation'],
  ['LICENSES/', 'documentation'],
  ['samples/', 'an example'],
  ['tools/testing/', 'a test'],
  ['tools/perf/', 'a program of its own'],
] as const;

/** @returns why a file takes no part in building a kernel of this architecture; undefined when it may */
export function outsideBuild(path: string): string | undefined {
  const folder = outsideFolders.find(([start]) => path.startsWith(start));
  if (folder !== undefined) return folder[1];
  if (
    /\.(?:rst|txt|md)$/.test(path) ||
    /(?:^|\/)(?:README|MAINTAINERS|CREDITS|COPYING|\.gitignore|\.mailmap)$/.test(path)
  ) {
    return 'documentation';
  }
  const architecture = /^arch\/([\w-]+)\//.exec(path)?.[1];
  // User-mode Linux (arch/um) is an architecture of its own.
  if (architecture !== undefined && architecture !== 'x86') return `for the architecture ${architecture}`;
  return undefined;
}
