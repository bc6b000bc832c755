import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { getAsset, isSea } from 'node:sea';

/**
 * Text that kstitch brings along and is no code of its own: templates of C source, scripts for virtual machines. In the
 * packaged executable it lies in the executable, under its file's name (scripts/package/bundle.ts).
 *
 * @param url - the file in the repository, made from `import.meta.url`
 */
export function readAsset(url: URL): string {
  return isSea() ? getAsset(basename(url.pathname), 'utf8') : readFileSync(url, 'utf8');
}
