/** docs/pause.md: the table that `npm run bench:vm` writes. */
import { median } from './figures.ts';
import { addRounds, countFrom, countOf, noRounds, quantile, type Rounds } from './pauses.ts';

export interface Pauses {
  readonly release: string;
  readonly pairs: number;
  /** By number, even with kstitch and odd with insmod, one of each process; pairs are counted from 1. */
  readonly windows: ReadonlyMap<number, readonly Rounds[]>;
}

/** Milliseconds: where the rows of the distribution begin. */
const lengths = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

export function pausePage({ release, pairs, windows }: Pauses): string {
  const numbers = Array.from({ length: pairs }, (_, index) => index + 1);
  const of = (window: number): Rounds => (windows.get(window) ?? []).reduce(addRounds, noRounds);
  const each = numbers.map(pair => ({ kstitch: of(2 * pair), insmod: of(2 * pair + 1) }));
  const kstitch = each.map(pair => pair.kstitch).reduce(addRounds, noRounds);
  const insmod = each.map(pair => pair.insmod).reduce(addRounds, noRounds);

  const ratios = (measure: (rounds: Rounds) => number) => {
    const sorted = each.map(pair => measure(pair.kstitch) / measure(pair.insmod)).toSorted((a, b) => a - b);
    const [least = 0, most = 0] = [sorted[0], sorted.at(-1)];
    return `${median(sorted).toFixed(2)} | ${least.toFixed(2)} to ${most.toFixed(2)}`;
  };
  const relative = (rounds: Rounds, measure: (rounds: Rounds) => number) =>
    (measure(rounds) / quantile(insmod, 0.5)).toFixed(0);
  const share = (rounds: Rounds, from: number) =>
    ((1e6 * countFrom(rounds, from)) / countOf(rounds)).toFixed(1);
  const longest = (rounds: Rounds) => rounds.longest;
  const tail = (rounds: Rounds) => quantile(rounds, 0.999);

  return `<!-- Written by \`npm run bench:vm\`. -->

# What those who work see of a load

Two processes write a byte to a pipe and read it back, without a pause of their own, on the two processors of a virtual machine with
the stock kernel ${release}. Meanwhile a livepatch of \`pipe_read()\` is loaded, by \`kstitch load\` and by \`insmod\` in turns, each in a
window of the same length. A round that takes long is a pause that they saw. The processors are emulated, so that only
ratios mean something; whatever else the machine below does is in the figures of both.

- Command: \`npm run bench:vm\`${pairs === 20 ? '' : `, with \`--pairs ${pairs}\``}
- Date: ${new Date().toISOString().slice(0, 10)}
- Pairs: ${pairs}; rounds: ${countOf(kstitch)} with kstitch, ${countOf(insmod)} with insmod

| with kstitch : with insmod | median of the pairs | from, to |
|---|---|---|
| the longest that 99.9 % of the rounds took | ${ratios(tail)} |
| the longest round | ${ratios(longest)} |

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
}
