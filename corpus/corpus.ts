/**
 * `npm run corpus`: what kstitch makes of fixes that none of us wrote. Every .c file that differs between two Debian kernels and is
 * compiled for a flavour becomes a livepatch of its own, or a reason why not; the livepatches are loaded in virtual machines; each
 * run has its part of docs/coverage.md.
 *
 *   npm run corpus -- --from 6.1.190-1 --to 6.1.192-1 --kernel 6.1.0-54-cloud-amd64
 *   npm run corpus -- … --sample 40 --seed 1     some of the files; the table is only printed
 *   npm run corpus -- … fs/ext4/mballoc.c        these files
 *   npm run corpus -- … --fresh                  forget earlier results
 *   npm run corpus -- … --no-load                build only
 *
 * A run that was killed goes on where it was. Results are kept by kstitch's own sources: what an older kstitch said is done again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type BuildGround, readGround } from '@kstitch/build/build-livepatch';
import { kernelDelta } from '@kstitch/build/delta';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { writeAtomically } from '@kstitch/host/files';
import { buildAll } from './build-pool.ts';
import { putPart, writeCoverage } from './coverage-page.ts';
import { drawSample, type FileDifference, isBuilt, splitDelta } from './differing-files.ts';
import { openDriverContext } from './driver-context.ts';
import type { FileResult } from './file-result.ts';
import { type LoadResult, loadModules, type ModuleToLoad } from './load-modules.ts';
import { hashOfSources, ResultStore } from './result-store.ts';

/** Which of the differing files the flavour compiles, as one kstitch sees it. */
interface CompiledFiles {
  readonly kstitch: string;
  readonly files: readonly string[];
}

/** Livepatches in one boot. */
const BATCH = 40;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string' },
    to: { type: 'string' },
    kernel: { type: 'string' },
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    fresh: { type: 'boolean', default: false },
    'no-load': { type: 'boolean', default: false },
  },
});
const { from, to, kernel: release, sample, seed } = values;
if (from === undefined || to === undefined || release === undefined) {
  console.error(
    'usage: npm run corpus -- --from VERSION --to VERSION --kernel RELEASE [--sample N --seed S] [--fresh] [--no-load] [FILE…]',
  );
  process.exit(64);
}
const wholeCorpus = sample === undefined && positionals.length === 0;

const context = openDriverContext();
const { progress } = context;

const folder = join(cacheDirectory(), 'corpus', `${from}_${to}_${release}`);
const modulesFolder = join(folder, 'modules');
if (values.fresh) await rm(folder, { recursive: true, force: true });
await mkdir(modulesFolder, { recursive: true });

// What there is: the files that differ and are compiled, then those that were asked for.
const ground = await readGround(context, release);
const differing = splitDelta(await readDelta());
const kstitch = hashOfSources();
const compiled = await progress.step('find the files that are compiled', () => findCompiled(ground));
const drawn = sample === undefined ? compiled : drawSample(compiled, Number(sample), Number(seed));
const taken = positionals.length === 0 ? drawn : compiled.filter(({ file }) => positionals.includes(file));

const results = await ResultStore.open<FileResult>(join(folder, 'results.jsonl'), result => result.file);
await buildMissing();

// Every built module that was not loaded yet; what was loaded has the same bytes.
const loads = await ResultStore.open<LoadResult>(
  join(folder, 'loads.jsonl'),
  load => `${load.module} ${load.sha256}`,
);
const current = taken.flatMap(({ file }) => results.get(file) ?? []);
const modules = await readModules(current);
if (!values['no-load']) await loadMissing();
progress.close();

const part = writeCoverage({
  from,
  to,
  release,
  command: `npm run corpus -- ${process.argv
    .slice(2)
    .filter(word => word !== '--fresh')
    .join(' ')}`,
  date: new Date().toISOString().slice(0, 10),
  differing: differing.length,
  notCompiled: differing.length - compiled.length,
  results: current,
  checked: await readChecked(),
  loads: new Map(
    modules.flatMap(({ name, sha256 }) => {
      const load = loads.get(`${name} ${sha256}`);
      return load === undefined ? [] : [[name, load]];
    }),
  ),
});
if (wholeCorpus) {
  const path = fileURLToPath(new URL('../docs/coverage.md', import.meta.url));
  const page = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  await writeFile(path, putPart(page, part));
} else console.log(part);

/** What a person found who held refusals against the source, in the repository; none of a pair that nobody looked at. */
async function readChecked(): Promise<ReadonlyMap<string, string>> {
  const path = fileURLToPath(new URL(`checked/${from}_${to}.json`, import.meta.url));
  const text = await readFile(path, 'utf8').catch(() => '{}');
  return new Map(Object.entries(JSON.parse(text) as Record<string, string>));
}

/** The delta takes half a minute and never changes. */
async function readDelta(): Promise<string> {
  const path = join(folder, 'delta.patch');
  const kept = await readFile(path, 'latin1').catch(() => undefined);
  if (kept !== undefined) return kept;
  // As UTF-8, like the files; the patches are cut from it byte by byte.
  await writeAtomically(path, await kernelDelta(context, from ?? '', to ?? ''));
  return await readFile(path, 'latin1');
}

/** Asking kstitch about a thousand files takes a while; the answer is kept like any other result. */
async function findCompiled(on: BuildGround): Promise<readonly FileDifference[]> {
  const known = await ResultStore.open<CompiledFiles>(
    join(folder, 'compiled.jsonl'),
    answer => answer.kstitch,
  );
  let answer = known.get(kstitch);
  if (answer === undefined) {
    const files: string[] = [];
    for (const difference of differing) if (await isBuilt(on, difference)) files.push(difference.file);
    answer = { kstitch, files };
    await known.add(answer);
  }
  const files = new Set(answer.files);
  return differing.filter(({ file }) => files.has(file));
}

async function buildMissing(): Promise<void> {
  const missing = taken.filter(({ file }) => results.get(file)?.kstitch !== kstitch);
  if (missing.length === 0) return;
  await progress.step(`build ${missing.length} of ${taken.length} differences`, async update => {
    let done = 0;
    const options = {
      release: release ?? '',
      outputDirectory: modulesFolder,
      workers: availableParallelism(),
      signal: context.signal,
    };
    await buildAll(missing, options, async answer => {
      await results.add({ ...answer, kstitch });
      done += 1;
      update(`${done} done`);
      progress.note(`${answer.file}: ${answer.outcome} ${answer.code} (${answer.seconds.toFixed(1)} s)`);
    });
  });
}

async function readModules(from: readonly FileResult[]): Promise<readonly ModuleToLoad[]> {
  const found: ModuleToLoad[] = [];
  for (const { module } of from) {
    if (module === undefined) continue;
    const bytes = await readFile(join(modulesFolder, `${module.name}.ko`));
    found.push({ ...module, sha256: createHash('sha256').update(bytes).digest('hex') });
  }
  return found;
}

async function loadMissing(): Promise<void> {
  const missing = modules.filter(({ name, sha256 }) => loads.get(`${name} ${sha256}`) === undefined);
  const batches = Array.from({ length: Math.ceil(missing.length / BATCH) }, (_, i) =>
    missing.slice(i * BATCH, (i + 1) * BATCH),
  ).values();
  // Each machine is bound by one processor: the kernel looks up symbols on one.
  const work = async () => {
    for (const batch of batches) {
      for (const load of await loadModules(context, ground.kernel.kit, modulesFolder, batch))
        await loads.add(load);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}
