/** docs/pause.md: the table that `npm run bench:vm` writes. */
import { median } from './figures.ts';
import { addRounds, countFrom, countOf, noRounds, quantile, type Rounds } from './pauses.ts';

export interface Pauses {
  /** Of the kernel. */
  readonly release: string;
  readonly pairs: number;
  /** By number, even with kstitch and odd with insmod, one of each process; pairs are counted from 1. */
  readonly windows: ReadonlyMap<number, readonly Rounds[]>;
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

/**
 * @returns the page, and which of the wanted ratios were not met, in words
 * @throws RangeError - a window lacks the rounds of a process
 */
export function pausePage({ release, pairs, windows }: Pauses): { page: string; missed: readonly string[] } {
  const of = (window: number): Rounds => {
    const rounds = (windows.get(window) ?? []).filter(one => countOf(one) > 0);
    if (rounds.length !== processes)
      throw new RangeError(`window ${window} has rounds of ${rounds.length} processes, not of ${processes}`);
    return rounds.reduce(addRounds, noRounds);
  };
  const numbers = Array.from({ length: pairs }, (_, index) => index + 1);
  const each = numbers.map(pair => ({ kstitch: of(2 * pair), insmod: of(2 * pair + 1) }));
  const kstitch = each.map(pair => pair.kstitch).reduce(addRounds, noRounds);
  const insmod = each.map(pair => pair.insmod).reduce(addRounds, noRounds);

  const missed: string[] = [];
  const row = (what: string, measure: (rounds: Rounds) => number) => {
    const ratios = each.map(pair => measure(pair.kstitch) / measure(pair.insmod));
    const middle = median(ratios);
    const is = `${middle.toFixed(2)} in the median of the pairs, wanted at most ${wantedRatio}`;
    if (!(middle <= wantedRatio)) missed.push(`${what}: ${is}`);
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    return `| ${what} | ${middle.toFixed(2)} | ${least.toFixed(2)} to ${most.toFixed(2)} | at most ${wantedRatio} |`;
  };
  const relative = (rounds: Rounds, measure: (rounds: Rounds) => number) =>
    (measure(rounds) / quantile(insmod, 0.5)).toFixed(0);
  const share = (rounds: Rounds, from: number) =>
    ((1e6 * countFrom(rounds, from)) / countOf(rounds)).toFixed(1);

  const page = `<!-- Written by \`npm run bench:vm\`. -->

# What those who work see of a load

Two processes write a byte to a pipe and read it back, without a pause of their own, on the two processors of a virtual machine with
the stock kernel ${release}. Meanwhile a livepatch of \`pipe_read()\` is loaded, by \`kstitch load\` and by \`insmod\` in turns, each in a
window of the same length. A round that takes long is a pause that they saw. The processors are emulated, so that only
ratios mean something; whatever else the machine below does is in the figures of both.

- Command: \`npm run bench:vm\`${pairs === wantedPairs ? '' : `, with \`--pairs ${pairs}\``}
- Date: ${new Date().toISOString().slice(0, 10)}
- Pairs: ${pairs}; rounds: ${countOf(kstitch)} with kstitch, ${countOf(insmod)} with insmod

| with kstitch : with insmod | median of the pairs | from, to | wanted |
|---|---|---|---|
${row('the longest that 99.9 % of the rounds took', tail)}
${row('the longest round', longest)}

All pairs together, in units of the median round with insmod:

| | kstitch | insmod |
|---|---|---|
| 50 % of the rounds at most | ${[kstitch, insmod].map(one => relative(one, r => quantile(r, 0.5))).join(' | ')} |
| 99 % | ${[kstitch, insmod].map(one => relative(one, r => quantile(r, 0.99))).join(' | ')} |
| 99.9 % | ${[kstitch, insmod].map(one => relative(one, tail)).join(' | ')} |
| 99.99 % | ${[kstitch, insmod].map(one => relative(one, r => quantile(r, 0.9999))).join(' | ')} |
| the longest | ${[kstitch, insmod].map(one => relative(one, longest)).join(' | ')} |

Of a million rounds, so many took at least:

| ms, emulated | kstitch | insmod |
|---|---|---|
${lengths.map(from => `| ${from} | ${share(kstitch, from)} | ${share(insmod, from)} |`).join('\n')}
`;
  return { page, missed };
}
