/**
 * @param path - a path as a patch or a compiler command names it
 * @returns the path when it plainly names something below the source; undefined when it is absolute, has `.`, `..` or empty
 *   parts, or a character that no file of the kernel has
 */
export function sourcePath(path: string): string | undefined {
  const parts = path.split('/');
  const plain = parts.every(part => part !== '' && part !== '.' && part !== '..');
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return plain && !/[\0-\x1f\\]/.test(path) ? path : undefined;
}

/** @returns the text without `x/../` and `./`, as far as that is possible without looking at the disk */
export function withoutDots(path: string): string {
  if (!/(?:^|\/)(?:\.|\/)/.test(path)) return path;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    const last = parts.at(-1);
    if (part === '.' || part === '') continue;
    if (part === '..' && last !== undefined && last !== '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}
