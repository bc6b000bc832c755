import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { version } from '@kstitch/report/version';
import { root } from '../repository.ts';
import { makeDebianPackage, type PackageOptions } from './debian-package.ts';
import { makeExecutable } from './executable.ts';

/**
 * Makes the executable `kstitch` and the Debian package of it, for amd64.
 *
 *   npm run package
 *   npm run package -- --output FOLDER --compression none
 *
 * The same source, Node.js and time (SOURCE_DATE_EPOCH, else that of the last commit) make the same bytes.
 *
 * @param output - folder for both
 * @returns their paths
 */
export async function makePackage(
  output: string,
  options: Pick<PackageOptions, 'time' | 'compression'>,
): Promise<{ readonly executable: string; readonly deb: string }> {
  mkdirSync(output, { recursive: true });
  const work = mkdtempSync(join(output, '.work-'));
  try {
    for (const name of ['bundle', 'tree']) mkdirSync(join(work, name));
    const made = join(work, 'kstitch');
    const npmPackages = makeExecutable(join(work, 'bundle'), made);
    const name = `kstitch_${version}_amd64.deb`;
    await makeDebianPackage(join(work, 'tree'), join(work, name), {
      executable: made,
      npmPackages,
      ...options,
    });
    const [executable, deb] = [join(output, 'kstitch'), join(output, name)];
    renameSync(made, executable);
    renameSync(join(work, name), deb);
    return { executable, deb };
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** @returns seconds since 1970 */
function sourceTime(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  const text = given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  const time = Number(text);
  if (!Number.isSafeInteger(time) || time <= 0) throw new Error(`'${text.trim()}' is no time`);
  return time;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(root, 'dist') },
      compression: { type: 'string', default: 'xz' },
    },
  });
  if (values.compression !== 'xz' && values.compression !== 'none')
    throw new Error(`--compression is 'xz' or 'none'`);
  if (values.compression === 'xz')
    console.log('compressing takes about a minute; --compression none takes none');
  const made = await makePackage(values.output, { time: sourceTime(), compression: values.compression });
  for (const path of Object.values(made))
    console.log(`${relative('', path)}  ${(statSync(path).size / 1024 / 1024).toFixed(1)} MiB`);
}
