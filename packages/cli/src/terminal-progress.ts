import { AsyncLocalStorage } from 'node:async_hooks';
import type { Progress } from '@kstitch/report/context';
import { clip, displayWidth, type Look, paint, printable } from '@kstitch/report/render-text';
import type { TimedStep } from './timings.ts';

/**
 * - `live`: one line for every step that is running, redrawn in place; for terminals.
 * - `lines`: a line when a step turns out to be long and one at its end; for files, pipes and logs.
 * - `silent`: nothing, only the times are kept.
 */
export type ProgressMode = 'live' | 'lines' | 'silent';

export interface ProgressOptions {
  readonly mode: ProgressMode;
  /** Writes to the terminal or the log. */
  readonly write: (text: string) => void;
  /** Asked anew for every frame: a window can change its size. */
  readonly look: () => Look;
  /** When the run began, on the clock of `performance.now()`; the moment of construction when left out. */
  readonly startedAt?: number;
  /** Milliseconds that a step may take before it is shown. */
  readonly patience?: number;
  /** How many lines the window has. */
  readonly rows?: () => number;
}

/** What takes less than this is not worth a reader's glance. Milliseconds. */
const DEFAULT_PATIENCE = 2000;
/** Milliseconds between frames. */
const FRAME = 100;
/** More lines than this tell nobody anything. */
const MAX_LIVE_LINES = 8;

const unicodeSpinner = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const asciiSpinner = '|/-\\';

interface Running extends TimedStep {
  detail: string;
  /** Whether it has been shown, live or by a line. */
  announced: boolean;
}

/** Progress on standard error, and the book of how long every step took. */
export class TerminalProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #scope = new AsyncLocalStorage<Running>();
  readonly #running = new Set<Running>();
  readonly #roots: Running[] = [];
  readonly #startedAt: number;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;
  /** Lines of the live region that stand on the terminal now. */
  #drawn = 0;
  #suspended = 0;
  #closed = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startedAt = options.startedAt ?? performance.now();
  }

  /** The outermost steps so far, in the order begun. */
  get steps(): readonly TimedStep[] {
    return this.#roots;
  }

  /** Milliseconds since the run began. */
  elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  async step<T>(label: string, work: (update: (detail: string) => void) => Promise<T>): Promise<T> {
    const parent = this.#scope.getStore();
    const step: Running = {
      label: oneLine(label),
      depth: parent === undefined ? 0 : parent.depth + 1,
      children: [],
      begin: this.elapsed(),
      end: undefined,
      detail: '',
      announced: false,
    };
    (parent?.children ?? this.#roots).push(step);
    this.#running.add(step);
    this.#startTicking();
    let outcome: 'done' | 'failed' = 'failed';
    try {
      const result = await this.#scope.run(step, () =>
        work(detail => {
          step.detail = oneLine(detail);
        }),
      );
      outcome = 'done';
      return result;
    } finally {
      step.end = this.elapsed();
      this.#running.delete(step);
      this.#announceEnd(step, outcome, step.end - step.begin);
      if (this.#running.size === 0) this.#stopTicking();
    }
  }

  note(line: string): void {
    if (this.#options.mode === 'silent' || this.#closed) return;
    this.#print(printable(line));
  }

  /** Leaves the terminal to `work`: for a question to the user. */
  async suspend<T>(work: () => Promise<T>): Promise<T> {
    this.#erase();
    this.#suspended += 1;
    try {
      return await work();
    } finally {
      this.#suspended -= 1;
    }
  }

  /** Clears the live region. Steps that end later are timed and no longer shown. */
  close(): void {
    this.#stopTicking();
    this.#closed = true;
  }

  #startTicking(): void {
    if (this.#options.mode === 'silent' || this.#closed || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tick(), FRAME);
    this.#timer.unref();
  }

  #stopTicking(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#erase();
  }

  #tick(): void {
    if (this.#suspended > 0) return;
    if (this.#options.mode === 'live') {
      this.#draw();
      return;
    }
    for (const step of this.#longRunning()) {
      if (step.announced) continue;
      step.announced = true;
      this.#print(`${step.label} ...`);
    }
  }

  #longRunning(): Running[] {
    const now = this.elapsed();
    const patience = this.#options.patience ?? DEFAULT_PATIENCE;
    return [...this.#running].filter(step => now - step.begin >= patience);
  }

  #announceEnd(step: Running, outcome: 'done' | 'failed', milliseconds: number): void {
    if (this.#closed || !step.announced) return;
    if (this.#options.mode === 'lines') {
      this.#print(`${step.label}: ${outcome} after ${formatSeconds(milliseconds)}`);
    } else if (this.#options.mode === 'live') {
      const look = this.#options.look();
      const mark =
        outcome === 'done'
          ? paint(look, 'green', look.unicode ? '✓' : '+')
          : paint(look, 'red', look.unicode ? '✗' : 'x');
      const time = formatSeconds(milliseconds);
      const label = clip(step.label, look.columns - 6 - time.length, look);
      this.#print(`${mark} ${label}  ${paint(look, 'dim', time)}`);
    }
  }

  /** A line that stays, above the live region. */
  #print(line: string): void {
    this.#erase();
    this.#options.write(`${line}\n`);
    if (this.#options.mode === 'live' && this.#running.size > 0 && this.#suspended === 0) this.#draw();
  }

  #erase(): void {
    if (this.#drawn === 0) return;
    this.#options.write(eraseLines(this.#drawn));
    this.#drawn = 0;
  }

  #draw(): void {
    const lines = this.#liveLines();
    if (lines.length === 0 && this.#drawn === 0) return;
    // One write a frame, or the terminal shows the gap between erasing and drawing.
    this.#options.write(eraseLines(this.#drawn) + lines.join('\n'));
    this.#drawn = lines.length;
  }

  #liveLines(): string[] {
    const look = this.#options.look();
    const shown = this.#longRunning();
    const rows = this.#options.rows?.() ?? 24;
    const most = Math.max(1, Math.min(MAX_LIVE_LINES, rows - 2));
    const drawn = shown.slice(0, shown.length > most ? most - 1 : most);
    const lines = drawn.map(step => {
      step.announced = true;
      return this.#liveLine(step, drawn, look);
    });
    if (shown.length > most) lines.push(paint(look, 'dim', `  and ${shown.length - most + 1} more`));
    this.#frame += 1;
    return lines;
  }

  #liveLine(step: Running, drawn: readonly Running[], look: Look): string {
    const spinner = look.unicode ? unicodeSpinner : asciiSpinner;
    const glyph = spinner.charAt(this.#frame % spinner.length);
    // A step without a word of its own shows the latest of its steps that has no line yet.
    const inner = step.children.findLast(
      child => child.end === undefined && !drawn.some(one => one === child),
    );
    const detail = step.detail === '' ? (inner?.label ?? '') : step.detail;
    const time = `${Math.floor((this.elapsed() - step.begin) / 1000)} s`;
    const indent = '  '.repeat(step.depth);
    // The last column stays empty: a terminal that has written into it may already have wrapped.
    const room = look.columns - 1 - 2 - indent.length - 2 - time.length;
    const label = clip(step.label, room, look);
    const rest = clip(detail === '' ? '' : `  ${detail}`, room - displayWidth(label), look);
    return `${indent}${paint(look, 'cyan', glyph)} ${label}${paint(look, 'dim', `${rest}  ${time}`)}`;
  }
}

/** @returns `1.4 s`, `75 s`, `12 min 5 s`: as exact as a reader wants it */
export function formatSeconds(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 600 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function oneLine(text: string): string {
  return printable(text).replaceAll(/\s*\n\s*/g, ' ');
}

/** The terminal's words for: go to the beginning of the line `count - 1` lines up, clear to the end of the screen. */
function eraseLines(count: number): string {
  if (count === 0) return '';
  return `\r${count > 1 ? `\x1b[${count - 1}A` : ''}\x1b[J`;
}
