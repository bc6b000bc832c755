/** docs/pause.md: the table that `npm run bench:vm` writes. */
import { median } from './figures.ts';
import { addRounds, countFrom, countOf, noRounds, quantile, type Rounds } from './pauses.ts';

export interface Pauses {
  /** Of the kernel. */
  readonly release: string;
  readonly pairs: number;
  /** More than one where the emulator made an end of some. */
  readonly boots: number;
  /** By number, see {@link windowNumber}; one of each process. */
  readonly windows: ReadonlyMap<number, readonly Rounds[]>;
}

const loaders = ['kstitch', 'insmod'] as const;
export type Loader = (typeof loaders)[number];

/** The windows of one load: until insmod is called, the {@link loadSeconds} from there on, and the rest. */
export const windowsOfLoad = 3;
/** More than an emulated machine takes from insmod to the end of the transition. */
export const loadSeconds = 5;

/**
 * @param pair - from 1
 * @returns the number of a load's first window, which the others follow
 */
export function windowNumber(pair: number, loader: Loader): number {
  return windowsOfLoad * (loaders.length * (pair - 1) + loaders.indexOf(loader)) + 1;
}

/** What a pause with kstitch may be of one with insmod, at most, in the median of the pairs. */
export const wantedRatio = 1.1;
/** Fewer pairs say too little for the page. */
export const wantedPairs = 20;
const processes = 2;

/** Milliseconds: where the rows of the distribution begin. */
const lengths = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

const tail = (rounds: Rounds): number => quantile(rounds, 0.999);
const longest = (rounds: Rounds): number => rounds.longest;

/** By loader, for one load or for all of them. */
type Pair = Readonly<Record<Loader, Rounds>>;

/**
 * @returns the page, and which of the wanted ratios were not met, in words
 * @throws RangeError - a window of a load lacks the rounds of a process
 */
export function pausePage({ release, pairs, boots, windows }: Pauses): {
  page: string;
  missed: readonly string[];
} {
  const sum = (rounds: readonly Rounds[]): Rounds => rounds.reduce(addRounds, noRounds);
  const loadOf = (first: number): Rounds => {
    const rounds = (windows.get(first + 1) ?? []).filter(one => countOf(one) > 0);
    if (rounds.length !== processes)
      throw new RangeError(
        `window ${first + 1} has rounds of ${rounds.length} processes, not of ${processes}`,
      );
    return sum(rounds);
  };
  // What comes before insmod and after the load may be shorter than a pause.
  const commandOf = (first: number): Rounds =>
    sum([first, first + 1, first + 2].flatMap(number => windows.get(number) ?? []));
  const pairsOf = (measure: (first: number) => Rounds): readonly Pair[] =>
    Array.from({ length: pairs }, (_, index) => ({
      kstitch: measure(windowNumber(index + 1, 'kstitch')),
      insmod: measure(windowNumber(index + 1, 'insmod')),
    }));
  const together = (each: readonly Pair[]): Pair => ({
    kstitch: sum(each.map(pair => pair.kstitch)),
    insmod: sum(each.map(pair => pair.insmod)),
  });
  const load = pairsOf(loadOf);
  const command = pairsOf(commandOf);
  const columns = [together(load), together(command)].flatMap(({ kstitch, insmod }) => [kstitch, insmod]);
  const unit = quantile(together(load).insmod, 0.5);

  const missed: string[] = [];
  const ratio = (what: string, each: readonly Pair[], measure: (rounds: Rounds) => number) => {
    const ratios = each.map(pair => measure(pair.kstitch) / measure(pair.insmod));
    const middle = median(ratios);
    const is = `${middle.toFixed(2)} in the median of the pairs, wanted at most ${wantedRatio}`;
    if (!(middle <= wantedRatio)) missed.push(`${what}: ${is}`);
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    return `| ${what} | ${middle.toFixed(2)} | ${least.toFixed(2)} to ${most.toFixed(2)} | at most ${wantedRatio} |`;
  };
  const row = (what: string | number, show: (rounds: Rounds) => string) =>
    `| ${what} | ${columns.map(show).join(' | ')} |`;
  const relative = (what: string, measure: (rounds: Rounds) => number) =>
    row(what, rounds => (measure(rounds) / unit).toFixed(0));

  const page = `<!-- Written by \`npm run bench:vm\`. -->

# What those who work see of a load

Two processes write a byte to a pipe and read it back, without a pause of their own, on the two processors of a virtual machine with
the stock kernel ${release}. Meanwhile a livepatch of \`pipe_read()\` is loaded, by \`kstitch load\` and by \`insmod\` in turns. A round that
takes long is a pause that they saw. The processors are emulated, so that only ratios mean something; whatever else the machine
below does is in the figures of both. A pair in which the emulator hung counts for nothing.

"The load" are the ${loadSeconds} s from the call of insmod on, in which the kernel links the module, switches the functions over and ends the
transition. "The command" is all of it, from the start of kstitch to its end: a third program on two busy processors, which
the scheduler gives its share. With insmod alone the same time is counted.

- Command: \`npm run bench:vm\`${pairs === wantedPairs ? '' : `, with \`--pairs ${pairs}\``}
- Date: ${new Date().toISOString().slice(0, 10)}
- Pairs: ${pairs}, boots: ${boots}; rounds: ${columns.map(countOf).join(', ')} in the columns below

| with kstitch : with insmod | median of the pairs | from, to | wanted |
|---|---|---|---|
${ratio('the load: the longest that 99.9 % of the rounds took', load, tail)}
${ratio('the load: the longest round', load, longest)}
${ratio('the command: the longest that 99.9 % of the rounds took', command, tail)}
${ratio('the command: the longest round', command, longest)}

All pairs together, in units of the median round of a load with insmod:

| | load, kstitch | load, insmod | command, kstitch | insmod, as long |
|---|---|---|---|---|
${relative('50 % of the rounds at most', rounds => quantile(rounds, 0.5))}
${relative('99 %', rounds => quantile(rounds, 0.99))}
${relative('99.9 %', tail)}
${relative('99.99 %', rounds => quantile(rounds, 0.9999))}
${relative('the longest', longest)}

Of a million rounds, so many took at least:

| ms, emulated | load, kstitch | load, insmod | command, kstitch | insmod, as long |
|---|---|---|---|---|
${lengths.map(from => row(from, rounds => ((1e6 * countFrom(rounds, from)) / countOf(rounds)).toFixed(1))).join('\n')}
`;
  return { page, missed };
}
