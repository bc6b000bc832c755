/** Differ and extractor on real objects, one core, beside `objdump -dr` on the same objects in the same run. */
import { fileURLToPath } from 'node:url';
import type { Kit } from '@kstitch/build/kit/kit';
import type { DifferFigures } from './differ-child.ts';
import { type Figure, median } from './figures.ts';
import { runTimed, type TimedRun } from './run-timed.ts';
import { differSample, type SampleUnit } from './sample.ts';

const child = fileURLToPath(new URL('differ-child.ts', import.meta.url));
const launcher = fileURLToPath(new URL('../packages/cli/bin/kstitch', import.meta.url));
/** A pass over the sample in a process that has seen it before: what the compiler of node makes of the code by then. */
const warmPasses = 5;
const warmPairs = 20;
const mega = 1e6;

/** @returns rows of the table; times of the processor, since the machine may be at other work */
export async function measureDiffer(kit: Kit, runs: number): Promise<readonly Figure[]> {
  const sample = await differSample(kit);
  const { largest, drawn } = sample;
  const figures: Figure[] = [];

  // The whole command, from nothing: node's start, its modules, one pair.
  const command: TimedRun[] = [];
  const commandDump: TimedRun[] = [];
  for (let i = 0; i < runs; i += 1) {
    command.push(
      await runTimed([launcher, 'diff-objects', largest.before, largest.after, '--json', '--quiet'], {
        output: 'ignore',
      }),
    );
    commandDump.push(await dump([largest]));
  }
  figures.push({
    what: '`kstitch diff-objects` on a 1 MB pair, whole process',
    unit: 's',
    wanted: undefined,
    samples: command.map(({ processor }) => processor),
  });
  figures.push({
    what: '`objdump -dr` on that pair, whole process',
    unit: 's',
    wanted: undefined,
    samples: commandDump.map(({ processor }) => processor),
  });

  // The work alone: the first pair of a process, and the same when the code has been compiled.
  for (const [mode, name] of [
    ['objects', 'differ, 1 MB pair'],
    ['units', 'differ with run-pre match, and extractor, 1 MB pair'],
  ] as const) {
    const first: number[] = [];
    const untuned: number[] = [];
    const warm: number[] = [];
    for (let i = 0; i < runs; i += 1) {
      const { passes } = await inChild(kit, mode, warmPairs, [0]);
      first.push(passes[0]?.processor ?? Number.NaN);
      warm.push(...passes.slice(warmPairs / 2).map(({ processor }) => processor));
      untuned.push((await inChild(kit, mode, 1, [0], 'untuned')).passes[0]?.processor ?? Number.NaN);
    }
    figures.push({ what: `${name}, first of the process`, unit: 's', wanted: undefined, samples: first });
    figures.push({ what: '… with V8 as node has it', unit: 's', wanted: undefined, samples: untuned });
    figures.push({ what: `${name}, warm`, unit: 's', wanted: 'at most 0.15 s', samples: warm });
  }

  // A flavour's objects, every one once.
  const indices = drawn.map((_, i) => i + 1);
  const dumps: TimedRun[] = [];
  for (let i = 0; i < runs; i += 1) dumps.push(await dump(drawn));
  const dumped = median(dumps.map(({ processor }) => processor));
  for (const [mode, name] of [
    ['objects', 'differ'],
    ['units', 'differ with run-pre match, and extractor'],
  ] as const) {
    const first: number[] = [];
    const warm: number[] = [];
    let last: DifferFigures | undefined;
    for (let i = 0; i < runs; i += 1) {
      last = await inChild(kit, mode, warmPasses, indices);
      const rates = last.passes.map(({ processor }) => (last?.bytes ?? 0) / mega / processor);
      first.push(...rates.slice(0, 1));
      warm.push(...rates.slice(-2));
    }
    const what = `${name}, ${last?.units} units of ${((last?.bytes ?? 0) / mega).toFixed(0)} MB, ${last?.changedFunctions} changed functions, ${last?.refused} refused`;
    figures.push({ what: `${what}: first pass`, unit: 'MB/s', wanted: 'at least 20 MB/s', samples: first });
    figures.push({ what: '… later passes', unit: 'MB/s', wanted: 'at least 20 MB/s', samples: warm });
    if (mode === 'objects') {
      const bytes = last?.bytes ?? 0;
      figures.push({
        what: '… how many times as fast as `objdump -dr` on the same objects, first pass',
        unit: '×',
        wanted: undefined,
        samples: first.map(rate => (rate * mega * dumped) / bytes),
      });
      figures.push({
        what: '… the same, later passes',
        unit: '×',
        wanted: undefined,
        samples: warm.map(rate => (rate * mega * dumped) / bytes),
      });
    }
  }
  return [...figures, ...(await measureMemory(kit, drawn.length))];
}

/** As many units as a header may reach: does memory grow with them? */
async function measureMemory(kit: Kit, most: number): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const count of [10, 50, 100]) {
    if (count > most) continue;
    const { peakMiB } = await inChild(
      kit,
      'memory',
      1,
      Array.from({ length: count }, (_, i) => i + 1),
    );
    figures.push({
      what: `peak memory, ${count} changed units`,
      unit: 'MiB',
      wanted: undefined,
      samples: [peakMiB],
    });
  }
  return figures;
}

async function dump(units: readonly SampleUnit[]): Promise<TimedRun> {
  return await runTimed(['objdump', '-dr', ...units.flatMap(({ before, after }) => [before, after])], {
    output: 'ignore',
  });
}

async function inChild(
  kit: Kit,
  mode: 'objects' | 'units' | 'memory',
  passes: number,
  indices: readonly number[],
  engine: 'tuned' | 'untuned' = 'tuned',
): Promise<DifferFigures> {
  const words = [
    process.execPath,
    '--max-semi-space-size=16', // as packages/cli/bin/kstitch starts node
    child,
    engine,
    kit.release,
    mode,
    String(passes),
    ...indices.map(String),
  ];
  const { status, stdout } = await runTimed(words);
  if (status !== 0) throw new Error(`${words.slice(2, 7).join(' ')} ended with ${status}`);
  return JSON.parse(stdout) as DifferFigures;
}
