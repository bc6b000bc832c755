/**
 * `npm run matrix`: every stock kernel that kstitch is for. Of each a kit is made from nothing, a sample of its units is looked
 * for in the shipped image, and a fix that Debian shipped is built and proven in the virtual machine; the table is
 * docs/kernels.md.
 *
 *   npm run matrix                                  all kernels of matrix/cases.ts
 *   npm run matrix -- --kernel RELEASE              one of them; the table is only printed
 *   npm run matrix -- --sample 300 --seed 2         other units
 *   npm run matrix -- --only placement              one part of each: kit, image, placement, fix, warm
 *   npm run matrix -- --fresh                       forget earlier results
 *   npm run matrix -- --kept                        write down what was found out last, whatever kstitch it was
 *
 * A run that was killed goes on where it was. Results are kept by kstitch's own sources; a kit's times by those that make kits.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchKit } from '@kstitch/build/kit/kit';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { KstitchError } from '@kstitch/report/error';
import { openDriverContext } from '../corpus/driver-context.ts';
import { hashOfFiles, ResultStore } from '../corpus/result-store.ts';
import { type KernelCase, kernelCases } from './cases.ts';
import { describeRefusal } from './describe-refusal.ts';
import { readCauses } from './explain-failure.ts';
import type { KernelResult } from './kernel-result.ts';
import { isComplete, writeKernelsPage } from './kernels-page.ts';
import { measureKit } from './measure-kit.ts';
import { measureWarmBuild } from './measure-warm.ts';
import { placeSample } from './place-sample.ts';
import { proveFix } from './prove-fix.ts';
import { readImage } from './read-image.ts';

/** Warm builds that are counted. */
const WARM_RUNS = 3;

const { values } = parseArgs({
  options: {
    kernel: { type: 'string' },
    sample: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    kept: { type: 'boolean', default: false },
  },
});
const taken = kernelCases.filter(({ release }) => values.kernel === undefined || release === values.kernel);
if (taken.length === 0) {
  const known = kernelCases.map(({ release }) => `  ${release}\n`).join('');
  process.stderr.write(`no kernel '${values.kernel}' in matrix/cases.ts; there are\n${known}`);
  process.exit(64);
}
const request = { sample: Number(values.sample), seed: Number(values.seed) };
if (!Number.isInteger(request.sample) || request.sample < 1 || !Number.isInteger(request.seed)) {
  process.stderr.write('--sample and --seed take whole numbers\n');
  process.exit(64);
}

const context = openDriverContext();
const { progress } = context;

const folder = join(cacheDirectory(), 'matrix');
if (values.fresh) await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const results = await ResultStore.open<{ readonly key: string; readonly result: object }>(
  join(folder, 'results.jsonl'),
  ({ key }) => key,
);
// Kits never change: what makes them decides about their times alone.
const stages = [
  'packages/{arch,diff,elf,host,kernel,livepatch,report}/src/**/*.{ts,c,h}',
  'packages/livepatch/templates/**/*.*',
  'packages/build/src/{*,{compile,kernel,lines,link,patch}/*}.ts',
];
const hashes = {
  kit: hashOfFiles(['packages/build/src/{kit,root}/*.ts']),
  image: hashOfFiles([...stages, 'matrix/read-image.ts']),
  placement: hashOfFiles(stages),
  fix: hashOfFiles([
    ...stages,
    'packages/{cli,vm}/src/**/*.{ts,sh}',
    'matrix/{prove-fix,reproducer,run-kstitch}.ts',
    'matrix/reproducers/*',
    'demo/reproducer.sh',
  ]),
  warm: hashOfFiles([...stages, 'matrix/warm-build.patch']),
};

if (values.only !== undefined && !(values.only in hashes)) {
  process.stderr.write(`no part '${values.only}'; there are ${Object.keys(hashes).join(', ')}\n`);
  process.exit(64);
}
const wants = (part: string) => values.only === undefined || values.only === part;

const rows: (readonly [KernelCase, KernelResult])[] = [];
const failures: string[] = [];
for (const kernel of taken) rows.push([kernel, await examine(kernel)]);
progress.close();

const causes = await readCauses();
const page = writeKernelsPage({
  command: ['npm run matrix', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])]
    .filter(word => word !== '--fresh')
    .join(' '),
  kept: values.kept,
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown processor'}, load average ${loadavg()[2]?.toFixed(0)}`,
  rows,
  causes,
});
if (values.kernel === undefined && values.only === undefined)
  await writeFile(fileURLToPath(new URL('../docs/kernels.md', import.meta.url)), page);
else console.log(page);
for (const failure of failures) console.error(failure);
process.exitCode = failures.length === 0 && rows.every(([, result]) => isComplete(result, causes)) ? 0 : 1;

/** All parts of one kernel. What fails of one is said at the end, and the others are done. */
async function examine(kernel: KernelCase): Promise<KernelResult> {
  const { release } = kernel;
  try {
    if (!values.kept) await fetchKit(context, release);
  } catch (error) {
    // Not kept: the archive decides, and may have it tomorrow.
    if (!(error instanceof KstitchError) || !error.code.startsWith('kit-')) throw error;
    return { refused: await describeRefusal(context, release, error) };
  }
  const work = join(folder, release);
  const sampled = `${release} ${request.sample} ${request.seed}`;
  return {
    kit: wants('kit') ? await part(release, 'kit', () => measureKit(release, context.signal)) : undefined,
    image: wants('image') ? await part(release, 'image', () => readImage(release)) : undefined,
    placement: wants('placement')
      ? await part(sampled, 'placement', () => placeSample(context, release, request))
      : undefined,
    fix: wants('fix')
      ? await part(`${release} ${JSON.stringify(kernel.fix)}`, 'fix', () =>
          proveFix(kernel, work, context.signal),
        )
      : undefined,
    warm: wants('warm')
      ? await part(release, 'warm', async () =>
          measureWarmBuild(release, await warmPatch(), WARM_RUNS, work, context.signal),
        )
      : undefined,
  };
}

/** @returns what an earlier run found out, or what is found out now */
async function part<T extends object>(
  of: string,
  name: keyof typeof hashes,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const key = `${name} ${of} ${hashes[name]}`;
  const kept = values.kept ? results.newest(`${name} ${of} `) : results.get(key);
  if (kept !== undefined || values.kept) return kept?.result as T | undefined;
  try {
    const result = await progress.step(`${of}: ${name}`, work);
    await results.add({ key, result });
    return result;
  } catch (error) {
    if (context.signal.aborted) throw error;
    failures.push(`${of}: ${name}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function warmPatch(): Promise<string> {
  return await readFile(new URL('warm-build.patch', import.meta.url), 'utf8');
}
