/**
 * `npm run selfdiff`: units of a kernel against themselves, and against themselves with comments and blank lines put in. There is
 * no functional difference, or kstitch is wrong.
 *
 *   npm run selfdiff                             200 units of the kernel that tests use
 *   npm run selfdiff -- --units 50 --seed 7      other ones
 *   npm run selfdiff -- --all                    all units of C
 *   npm run selfdiff -- … --kernel RELEASE       of another kernel
 *   npm run selfdiff -- … --write                the table into docs/selfdiff.md
 *
 * A run that was killed goes on where it was. Results are kept by kstitch's own sources.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readGround } from '@kstitch/build/build-livepatch';
import { sampleUnits } from '@kstitch/build/verify-kernel';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { testRelease } from '@kstitch/testkit/kit';
import { openDriverContext } from './driver-context.ts';
import { hashOfSources, ResultStore } from './result-store.ts';
import { writeSelfDiffPage } from './self-diff-page.ts';
import type { SelfDiffAnswer, SelfDiffJob } from './self-diff-worker.ts';
import { runPool } from './worker-pool.ts';

/** A comparison takes seconds. Milliseconds. */
const MAX_TIME = 5 * 60_000;
/** Comparisons of one worker, which keeps every module that it has read. */
const MAX_JOBS = 200;

const { values } = parseArgs({
  options: {
    units: { type: 'string', default: '200' },
    all: { type: 'boolean', default: false },
    kernel: { type: 'string', default: testRelease },
    seed: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const { kernel: release, all, write } = values;
const seed = Number(values.seed);

const context = openDriverContext();
const { progress } = context;
const { database } = await readGround(context, release);
const sample = all ? Number.MAX_SAFE_INTEGER : Number(values.units);
const units = sampleUnits(database, { sample, seed });

const folder = join(cacheDirectory(), 'self-diff', release);
await mkdir(folder, { recursive: true });
const results = await ResultStore.open<SelfDiffAnswer & { readonly key: string }>(
  join(folder, 'results.jsonl'),
  result => result.key,
);
const kstitch = hashOfSources(['packages/testkit/src/{self-diff,shift-lines}.ts']);
const keyOf = (object: string) => `${kstitch} ${seed} ${object}`;
await compareMissing();
progress.close();

const command = `npm run selfdiff -- ${process.argv
  .slice(2)
  .filter(word => word !== '--write')
  .join(' ')}`;
const answers = units.flatMap(({ object }) => results.get(keyOf(object)) ?? []);
const page = writeSelfDiffPage({
  release,
  command: command.replace(/ -- $/, ''),
  date: new Date().toISOString().slice(0, 10),
  units: units.length,
  answers,
});
if (write) await writeFile(fileURLToPath(new URL('../docs/selfdiff.md', import.meta.url)), page);
else console.log(page);
process.exitCode = answers.every(({ outcome }) => outcome === 'same' || outcome === 'unplaced') ? 0 : 1;

async function compareMissing(): Promise<void> {
  const jobs = units
    .map(({ source, object }, i): SelfDiffJob => ({ source, object, seed: seed * 100_003 + i }))
    .filter(({ object }) => results.get(keyOf(object)) === undefined);
  await progress.step(`compare ${jobs.length} of ${units.length} units`, async update => {
    let done = 0;
    await runPool<SelfDiffJob, SelfDiffAnswer>(
      jobs,
      {
        program: new URL('self-diff-worker.ts', import.meta.url),
        args: [release],
        workers: availableParallelism(),
        maxTime: MAX_TIME,
        maxJobs: MAX_JOBS,
        signal: context.signal,
        lost: ({ object }, { hung, seconds, words }) => ({
          object,
          outcome: 'error',
          findings: [hung ? 'the comparison did not end' : 'the process ended', ...words],
          functions: 0,
          sameBytes: false,
          seconds,
        }),
      },
      async answer => {
        await results.add({ ...answer, key: keyOf(answer.object) });
        done += 1;
        update(`${done} done`);
        if (answer.outcome !== 'same')
          progress.note(`${answer.object}: ${answer.outcome}: ${answer.findings[0] ?? ''}`);
      },
    );
  });
}
