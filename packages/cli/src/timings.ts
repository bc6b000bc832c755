import { clip, displayWidth, type Look, paint } from '@kstitch/report/render-text';

/** One step of the run: what it was and how long it took. */
export interface TimedStep {
  readonly label: string;
  readonly depth: number;
  readonly children: TimedStep[];
  /** Milliseconds on the clock of the run. */
  readonly begin: number;
  end: number | undefined;
}

/** What `--timing --json` carries; seconds are of the wall clock, rounded to milliseconds. */
export interface TimingReport {
  readonly totalSeconds: number;
  /** Processor time of kstitch itself, without compilers and virtual machines. */
  readonly processorSeconds: number;
  readonly peakMemoryMiB: number;
  /** Wall time in which no step ran. */
  readonly betweenSeconds: number;
  readonly steps: readonly {
    readonly label: string;
    readonly depth: number;
    readonly seconds: number;
    readonly share: number;
  }[];
}

/** Steps below this share of the run are not worth a line of their own. */
const MIN_SHARE = 0.005;

/**
 * @param steps - the outermost steps, in the order begun
 * @param totalMilliseconds - wall time of the whole run
 */
export function reportTimings(steps: readonly TimedStep[], totalMilliseconds: number): TimingReport {
  const { user, system } = process.cpuUsage();
  const rows: TimingReport['steps'][number][] = [];
  const visit = (step: TimedStep): void => {
    const milliseconds = (step.end ?? totalMilliseconds) - step.begin;
    const share = totalMilliseconds > 0 ? milliseconds / totalMilliseconds : 0;
    rows.push({
      label: step.label,
      depth: step.depth,
      seconds: seconds(milliseconds),
      share: Math.round(share * 1000) / 1000,
    });
    step.children.forEach(visit);
  };
  steps.forEach(visit);
  return {
    totalSeconds: seconds(totalMilliseconds),
    processorSeconds: seconds((user + system) / 1000),
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    betweenSeconds: seconds(totalMilliseconds - covered(steps, totalMilliseconds)),
    steps: rows,
  };
}

/** @returns milliseconds in which at least one of the steps ran; they may overlap */
function covered(steps: readonly TimedStep[], now: number): number {
  let sum = 0;
  let until = 0;
  for (const step of steps) {
    const end = step.end ?? now;
    sum += Math.max(0, end - Math.max(step.begin, until));
    until = Math.max(until, end);
  }
  return sum;
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds) / 1000;
}

/** @returns the table of `--timing`, its lines without a break at the end */
export function renderTimings(report: TimingReport, look: Look): string[] {
  const shown = report.steps.filter(step => step.share >= MIN_SHARE);
  const hidden = report.steps.length - shown.length;
  const room = look.columns - 18;
  const labels = shown.map(step => clip('  '.repeat(step.depth) + step.label, room, look));
  const width = Math.max(9, ...labels.map(displayWidth));
  const row = (label: string, time: string, share: string): string =>
    `${label}${' '.repeat(width - displayWidth(label))}  ${time.padStart(8)}  ${share.padStart(5)}`;
  return [
    paint(look, 'bold', row('step', 'seconds', 'share')),
    ...shown.map((step, index) => row(labels[index] ?? '', step.seconds.toFixed(2), share(step.share, 1))),
    ...(hidden === 0
      ? []
      : [`(${hidden} more ${hidden === 1 ? 'step' : 'steps'} below ${MIN_SHARE * 100} % each)`]),
    row('(no step)', report.betweenSeconds.toFixed(2), share(report.betweenSeconds, report.totalSeconds)),
    paint(look, 'bold', row('all', report.totalSeconds.toFixed(2), '')),
    `kstitch itself: ${report.processorSeconds.toFixed(2)} s of processor time, ${report.peakMemoryMiB} MiB at its peak`,
  ];
}

function share(part: number, whole: number): string {
  return `${(whole > 0 ? (100 * part) / whole : 0).toFixed(0)} %`;
}
