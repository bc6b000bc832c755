/**
 * How quick kstitch is on the machine itself, against a machine that was recorded (scripts/record-machine.ts), on which ftrace
 * knows as many functions as on a real one. Processes are started anew each time, as a person starts them.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileC } from '@kstitch/testkit/compile';
import { makeTree } from '@kstitch/testkit/tree-text';
import { makeExecutable } from '../scripts/package/executable.ts';
import { root } from '../scripts/repository.ts';
import type { Figure } from './figures.ts';
import type { ListSamples } from './list-child.ts';

const launcher = join(root, 'packages/cli/bin/kstitch');

/** Of a cloud kernel: lines of `available_filter_functions`. */
const functionCount = 50_000;
/** In bytes: more than a livepatch of some functions has. */
const moduleSize = 64 * 1024;

export async function measureManager(runs: number): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-bench-'));
  try {
    /** Each run has a machine of its own: what is loaded once is loaded. */
    const child = (part: string): number[] =>
      repeat(runs, run => {
        const tree = join(folder, `${part}-${run}`);
        makeRecordedMachine(tree);
        return runChild(tree, part);
      });
    const tree = join(folder, 'list');
    makeRecordedMachine(tree);
    const executable = join(folder, 'kstitch');
    makeExecutable(mkdtempSync(join(folder, 'executable-')), executable);
    const lists = measureLists(tree, runs, [executable, launcher]);
    return [
      {
        what: "`kstitch list` on a recorded machine, the package's, from start to end",
        unit: 'ms',
        wanted: 'at most 120 ms',
        samples: lists[executable]?.wall ?? [],
      },
      {
        what: '… its processor time',
        unit: 'ms',
        wanted: undefined,
        samples: lists[executable]?.processor ?? [],
      },
      {
        what: "`kstitch list` on it, a clone's",
        unit: 'ms',
        wanted: 'at most 120 ms',
        samples: lists[launcher]?.wall ?? [],
      },
      {
        what: '… its processor time',
        unit: 'ms',
        wanted: undefined,
        samples: lists[launcher]?.processor ?? [],
      },
      {
        what: '… of which node itself, doing nothing',
        unit: 'ms',
        wanted: undefined,
        samples: repeat(runs, () => timeOf(process.execPath, ['-e', '0'], environment(folder))),
      },
      {
        what: '… reading and judging a recorded machine',
        unit: 'ms',
        wanted: undefined,
        samples: child('list'),
      },
      {
        what: `preflight, ${functionCount} functions known to ftrace`,
        unit: 'ms',
        wanted: 'at most 300 ms',
        samples: child('preflight'),
      },
      {
        what: "kstitch's own time in `load`, without insmod and the transition",
        unit: 'ms',
        wanted: 'at most 150 ms',
        samples: child('load'),
      },
      {
        what: 'the watch of a transition, of one processor',
        unit: '%',
        wanted: 'under 2 %',
        samples: child('watch'),
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns of so many runs after a first one */
function repeat(runs: number, measure: (run: number) => number): number[] {
  return Array.from({ length: runs + 1 }, (_, run) => measure(run)).slice(1);
}

function makeRecordedMachine(folder: string): void {
  const fixtures = join(root, 'packages/manager/src/fixtures');
  for (const recording of ['bare', 'active', 'enabling-task']) {
    const tree = join(folder, recording);
    mkdirSync(tree, { recursive: true });
    makeTree(readFileSync(join(fixtures, `${recording}.tree`), 'utf8'), tree);
    const functions = join(tree, 'sys/kernel/tracing/available_filter_functions');
    const known = readFileSync(functions, 'utf8');
    const more = Array.from({ length: functionCount }, (_, index) => `some_function_${index}_of_many\n`);
    // In front: what is looked for stands at the end in the worst case.
    writeFileSync(functions, more.join('') + known);
  }
  // As loaded by kstitch: with its record in the store.
  const record = readFileSync(join(fixtures, 'ext4.json'), 'utf8');
  const { kernel } = JSON.parse(record) as { kernel: { release: string } };
  const store = join(folder, 'state/livepatches', kernel.release);
  mkdirSync(store, { recursive: true });
  writeFileSync(join(store, `${nameOf('ext4')}.json`), record);
  writeFileSync(join(folder, 'ext4.ko'), standIn(nameOf('ext4')));
  writeFileSync(join(folder, 'names'), JSON.stringify({ pipe: nameOf('pipe') }));
}

function nameOf(fixture: string): string {
  const record = readFileSync(join(root, 'packages/manager/src/fixtures', `${fixture}.json`), 'utf8');
  return (JSON.parse(record) as { module: string }).module;
}

/** @returns a module of the size of a livepatch, which says of itself that it is one */
function standIn(name: string): Uint8Array {
  const texts = [`name=${name}`, 'livepatch=Y'].map(
    (text, index) =>
      `__attribute__((section(".modinfo"), used, aligned(1))) const char m${index}[] = "${text}";`,
  );
  return compileC(`${texts.join('\n')}\nconst char filler[${moduleSize}] = {1};\n`);
}

/** @returns what it says it measured */
function runChild(folder: string, part: string): number {
  const words = [join(import.meta.dirname, 'manager-child.ts'), part, folder];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: environment(folder),
  });
  if (status !== 0) throw new Error(`measuring '${part}' ended with ${status}\n${stderr}`);
  return Number(stdout);
}

/** @returns milliseconds */
function timeOf(command: string, words: readonly string[], env: NodeJS.ProcessEnv): number {
  const begin = performance.now();
  const { status } = spawnSync(command, words, { env, stdio: 'ignore' });
  if (status !== 0) throw new Error(`'${[command, ...words].join(' ')}' ended with ${status}`);
  return performance.now() - begin;
}

/** @returns by path of the kstitch */
function measureLists(tree: string, runs: number, launchers: readonly string[]): Record<string, ListSamples> {
  const child = join(import.meta.dirname, 'list-child.ts');
  const words = [process.execPath, child, join(tree, 'active'), nameOf('ext4'), String(runs), ...launchers];
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--map-root-user', ...words], {
    encoding: 'utf8',
    env: environment(tree),
  });
  if (status !== 0) throw new Error(`measuring 'list' ended with ${status}\n${stderr}`);
  return JSON.parse(stdout) as Record<string, ListSamples>;
}

function environment(folder: string) {
  // As the launcher does; the first run fills it and is not counted.
  return {
    ...process.env,
    KSTITCH_STATE: join(folder, 'state'),
    NODE_COMPILE_CACHE: join(tmpdir(), 'kstitch-bench-code'),
  };
}
