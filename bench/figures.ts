import { cpus, totalmem } from 'node:os';

/** One row of the table. */
export interface Figure {
  readonly what: string;
  readonly unit: 's' | 'ms' | 'MiB' | 'MB/s' | '×' | '%' | '';
  readonly wanted: string | undefined;
  readonly samples: readonly number[];
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Prints a table in Markdown: median, minimum, maximum. */
export function printFigures(figures: readonly Figure[], runs: number): void {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  console.log(
    `${cpu?.model ?? 'unknown processor'}, ${cpus().length} cores, ${memory}, node ${process.version}; ${runs} runs\n`,
  );
  console.log('| what | median | min | max | wanted |\n|---|---|---|---|---|');
  for (const { what, unit, wanted = '', samples } of figures) {
    const digits = unit === '×' || unit === 's' ? (median(samples) < 1 ? 2 : 1) : 0;
    const show = (value: number) => `${value.toFixed(digits)} ${unit}`.trim();
    const [median_, min, max] = [median(samples), Math.min(...samples), Math.max(...samples)].map(show);
    console.log(`| ${what} | ${median_} | ${min} | ${max} | ${wanted} |`);
  }
}
