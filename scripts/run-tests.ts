import { availableParallelism } from 'node:os';
import { isAbsolute, relative } from 'node:path';
import type { EventData } from 'node:test';
import { run } from 'node:test';
import { inspect } from 'node:util';
import type { Progress } from '@kstitch/report/context';
import { findFiles, root } from './repository.ts';
import { killStuckChildren } from './stuck-processes.ts';

/** An emulated machine has one thread, and so has the link of a livepatch, so that another may run beside it. */
const twoAtOnce = Math.min(2, availableParallelism());

/**
 * Four tiers, told apart by the file's name: what needs nothing but the repository and a compiler, what needs a downloaded kernel,
 * what needs a virtual machine, and what needs one for so long that only `npm run test:vm` runs it.
 */
export const tiers = {
  unit: {
    needs: 'nothing',
    pattern: /^(?!.*\.(?:kit|vm|long)\.test\.ts$)/,
    concurrency: availableParallelism(),
    minutes: 2,
  },
  kit: { needs: 'a kernel kit', pattern: /\.kit\.test\.ts$/, concurrency: twoAtOnce, minutes: 10 },
  vm: { needs: 'a virtual machine', pattern: /\.vm\.test\.ts$/, concurrency: twoAtOnce, minutes: 10 },
  long: { needs: 'a virtual machine', pattern: /\.long\.test\.ts$/, concurrency: 1, minutes: 60 },
} as const;

export type Tier = keyof typeof tiers;

/** A file is killed after so many times the limit of one test. */
const FILE_LIMIT = 3;
/** How often is looked for files beyond that, milliseconds. */
const LOOK_EVERY = 1000;

/** What `npm test` runs. */
export const gateTiers = ['unit', 'kit', 'vm'] as const satisfies readonly Tier[];

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Tests slower than this are named in the output, for they decide how long everybody waits. Milliseconds. */
const SLOW = 5000;
/** Lines of one failure, diff and stack together. */
const MAX_FAILURE_LINES = 60;

/**
 * @param words - parts of paths; an absolute path is taken as it is; no words are all tests
 * @returns the test files of the tier
 */
export function findTests(tier: Tier, words: readonly string[] = []): string[] {
  const all = findFiles(['{packages/*/src,bench,corpus,matrix,scripts}/**/*.test.ts']);
  const named = all.filter(path => words.length === 0 || words.some(word => path.includes(word)));
  return [...named, ...words.filter(isAbsolute)].filter(path => tiers[tier].pattern.test(path));
}

/**
 * Runs the tests of one tier, each file in a process of its own.
 *
 * @param files - below the root
 * @param filter - only tests whose names match
 * @param seconds - a file that has not ended after so long is killed and has failed; undefined: the limit of the tier
 * @param print - takes finished lines: failures at once, slow tests, skips with their reasons, one line of totals
 */
export async function runTier(
  tier: Tier,
  files: readonly string[],
  filter: string | undefined,
  seconds: number | undefined,
  progress: Progress,
  print: (line: string) => void,
): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  const begin = performance.now();
  await progress.step(`${tier} tests`, async update => {
    const { concurrency, minutes } = tiers[tier];
    const reader = new EventReader(totals, print, update, files.length);
    const stream = run({
      files: [...files],
      cwd: root,
      concurrency,
      timeout: minutes * 60_000,
      ...(filter === undefined ? {} : { testNamePatterns: [filter] }),
    });
    const limit = seconds ?? minutes * 60 * FILE_LIMIT;
    const look = setInterval(() => {
      for (const file of killStuckChildren(limit))
        print(`killed, for it did not end within ${limit} s: ${relative(root, file)}`);
    }, LOOK_EVERY);
    try {
      for await (const event of stream) reader.read(event as TestEvent);
    } finally {
      clearInterval(look);
    }
  });
  const took = ((performance.now() - begin) / 1000).toFixed(1);
  print(`${tier} tests: ${formatTotals(totals)}, ${files.length} files in ${took} s`);
  return totals;
}

export function formatTotals({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

type TestEvent =
  | { readonly type: 'test:pass'; readonly data: EventData.TestPass }
  | { readonly type: 'test:fail'; readonly data: EventData.TestFail }
  | { readonly type: 'test:dequeue'; readonly data: EventData.TestDequeue }
  | { readonly type: 'test:stderr'; readonly data: EventData.TestStderr }
  | { readonly type: 'test:summary'; readonly data: EventData.TestSummary };

/** Turns the runner's events into lines and counts. */
class EventReader {
  readonly #totals: Totals;
  readonly #print: (line: string) => void;
  readonly #update: (detail: string) => void;
  readonly #fileCount: number;
  /** By file: the names of the suites and tests that are open, outermost first. */
  readonly #open = new Map<string, string[]>();
  /** By file: what it wrote to standard error, shown when the file as a whole fails. */
  readonly #errors = new Map<string, string>();
  #filesDone = 0;

  constructor(
    totals: Totals,
    print: (line: string) => void,
    update: (detail: string) => void,
    fileCount: number,
  ) {
    this.#totals = totals;
    this.#print = print;
    this.#update = update;
    this.#fileCount = fileCount;
  }

  read(event: TestEvent): void {
    switch (event.type) {
      case 'test:dequeue': {
        const { file = '', nesting, name } = event.data;
        this.#open.set(file, [...(this.#open.get(file) ?? []).slice(0, nesting), name]);
        this.#update(`${this.#filesDone} of ${this.#fileCount} files  ${relative(root, name)}`);
        break;
      }
      case 'test:stderr':
        this.#errors.set(event.data.file, (this.#errors.get(event.data.file) ?? '') + event.data.message);
        break;
      case 'test:pass':
        this.#pass(event.data);
        break;
      case 'test:fail':
        this.#fail(event.data);
        break;
      case 'test:summary':
        if (event.data.file !== undefined) this.#filesDone += 1;
        break;
    }
  }

  #pass(data: EventData.TestPass): void {
    const { skip, todo, file = '', details, name } = data;
    const reason = skip ?? todo;
    if (reason !== undefined && reason !== false) {
      this.#totals.skipped += 1;
      this.#print(
        `skipped: ${this.#place(data)}: ${typeof reason === 'string' && reason !== '' ? reason : 'no reason given'}`,
      );
    } else if (name === file) {
      // The runner calls a file that defines no test a success.
      this.#totals.failed += 1;
      this.#print(`FAILED: ${relative(root, file)}\n  the file has no tests`);
    } else if (details.type !== 'suite') {
      this.#totals.passed += 1;
      if (details.duration_ms >= SLOW)
        this.#print(`${(details.duration_ms / 1000).toFixed(1).padStart(6)} s  ${this.#place(data)}`);
    }
  }

  #fail(data: EventData.TestFail): void {
    const { error } = data.details as { readonly error: Error & { readonly failureType?: string } };
    // A parent fails because of its children, and those have been shown; it counts all the same when it is a test.
    if (error.failureType === 'subtestsFailed' && data.details.type === 'suite') return;
    this.#totals.failed += 1;
    if (error.failureType === 'subtestsFailed') return;
    const { file = '', name } = data;
    const words = name === file ? this.#errors.get(file) : undefined;
    const text = words ?? describeFailure(error);
    const lines = text.trimEnd().split('\n');
    const cut = lines.length > MAX_FAILURE_LINES ? [`(${lines.length - MAX_FAILURE_LINES} lines more)`] : [];
    this.#print(
      [
        `FAILED: ${this.#place(data)}`,
        ...[...lines.slice(0, MAX_FAILURE_LINES), ...cut].map(line => `  ${line}`),
      ].join('\n'),
    );
  }

  /** @returns `packages/elf/src/read.test.ts:12: readElf() › refuses …` */
  #place(data: EventData.TestPass | EventData.TestFail): string {
    const { file = '', line, nesting, name } = data;
    if (name === file) return relative(root, file);
    const parents = (this.#open.get(file) ?? []).slice(0, nesting);
    return `${relative(root, file)}${line === undefined ? '' : `:${line}`}: ${[...parents, name].join(' › ')}`;
  }
}

/** The runner wraps what a test threw; its own stack frames help nobody. */
function describeFailure(error: Error): string {
  const cause = error.cause ?? error;
  const text =
    cause instanceof Error
      ? inspect(cause).replace(/\n\s+\{\n\s+generatedMessage:[\s\S]*$/, '')
      : inspect(cause);
  return text
    .split('\n')
    .filter(line => !/^\s+at .*(?:node:internal|node:test)/.test(line))
    .join('\n')
    .replaceAll(`file://${root}`, '')
    .replaceAll(root, '');
}
