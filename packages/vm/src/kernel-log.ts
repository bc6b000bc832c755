/**
 * The kernel log as it comes out of a serial port, and the splats in it: the reports by which a kernel says that something
 * went wrong inside.
 *
 * ```
 * [    6.402214] BUG: kernel NULL pointer dereference, address: 0000000000000008      a head: opens a splat
 * [    6.403011] Oops: 0000 [#1] PREEMPT SMP PTI                                      another: it is an oops
 * [    6.404170] RIP: 0010:ext4_mb_load_buddy_gfp+0xbc/0x4a0                          where
 * [    6.405020] Call Trace:
 * [    6.405300]  ext4_mb_free_metadata+0x1c/0x220                                    how it got there
 * [    6.405900]  ? lock_timer_base+0x61/0x80                                         not certain: left out
 * [    6.409000] ---[ end trace 0000000000000000 ]---                                 closes it
 * ```
 *
 * The texts are those of arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c, kernel/panic.c, lib/bug.c, kernel/watchdog.c,
 * kernel/hung_task.c and kernel/rcu/tree_stall.h, Linux 6.1 to 6.12.
 */
import { MAX_LOG_BYTES } from './settings.ts';

export type SplatKind =
  | 'oops'
  | 'panic'
  | 'bug'
  | 'warning'
  | 'hung-task'
  | 'lockup'
  | 'rcu-stall'
  /** A call trace that no known report announced: a failed allocation, a driver's own words. */
  | 'trace';

export interface Splat {
  readonly kind: SplatKind;
  /** First line, without its time stamp. */
  readonly headline: string;
  /** Function that ran: from `RIP: 0010:name+0x1c/0x40`, or a warning's place. */
  readonly function: string | undefined;
  /** Seconds since boot, as the kernel stamped it. */
  readonly seconds: number | undefined;
  /** What the guest was at: the name of its last `kstitch: step NAME`. */
  readonly step: string | undefined;
  /** Functions of the first call trace that are certain, innermost first. */
  readonly trace: readonly string[];
}

/** After these the kernel does not go on (`oops=panic`). */
export function isFatal(splat: Splat): boolean {
  return splat.kind === 'oops' || splat.kind === 'panic';
}

interface OpenSplat {
  kind: SplatKind;
  headline: string;
  function: string | undefined;
  seconds: number | undefined;
  step: string | undefined;
  trace: string[];
  /** A call trace has begun; another one belongs to another report. */
  traced: boolean;
  closed: boolean;
}

/** Tried in order. What the processor's exceptions print through die() ends in an error code and a count: `: 0000 [#1]`. */
const heads: readonly (readonly [SplatKind, RegExp])[] = [
  ['oops', /: [0-9a-f]{4} \[#\d+\]/],
  ['panic', /^Kernel panic - not syncing/],
  ['panic', /^(?:traps: )?PANIC: /],
  ['lockup', /^(?:watchdog: )?BUG: soft lockup/],
  ['lockup', /^(?:NMI )?[Ww]atchdog:? (?:Watchdog )?detected hard LOCKUP/],
  ['lockup', /^BUG: workqueue lockup/],
  ['rcu-stall', /^rcu: INFO: .*(?:stall|starved)/],
  ['hung-task', /^INFO: task .* blocked for more than \d+ seconds/],
  ['bug', /^BUG: /],
  ['bug', /^kernel BUG at /],
  ['warning', /^WARNING: /],
  ['warning', /^(?:UBSAN|KASAN|KCSAN|KMSAN|KFENCE): /],
  ['warning', /^INFO: (?:possible|suspicious|trying to register non-static)/],
];

/** How grave, for deciding what a report is that has several heads. */
const gravity: Readonly<Record<SplatKind, number>> = {
  trace: 0,
  warning: 1,
  'hung-task': 2,
  'rcu-stall': 2,
  lockup: 2,
  bug: 3,
  panic: 4,
  oops: 5,
};

const frame = /^(?:\[<[0-9a-f]+>\] )?([\w.$]+)\+0x[0-9a-f]+\/0x[0-9a-f]+(?: \[[^\]]+\])?$/;

/** Takes the log in pieces, as they arrive; all results are those of the lines that have ended so far. */
export class KernelLog {
  readonly #decoder = new TextDecoder('utf-8');
  readonly #onLine: (line: string) => void;
  #rest = '';
  #bytes = 0;
  #step: string | undefined;
  readonly #splats: OpenSplat[] = [];

  /** @param onLine - is handed every line, with its time stamp and without control characters at its end */
  constructor(onLine: (line: string) => void = () => {}) {
    this.#onLine = onLine;
  }

  /** @param chunk - bytes of the serial port, cut anywhere; beyond {@link MAX_LOG_BYTES} they are dropped */
  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_LOG_BYTES) return;
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line.replace(/\r+$/, ''));
  }

  /** The serial port has ended: an unfinished line is a line. */
  end(): void {
    if (this.#rest !== '') this.#take(this.#rest.replace(/\r+$/, ''));
    this.#rest = '';
    if (this.#bytes > MAX_LOG_BYTES)
      this.#onLine(`[kstitch: the log went on for ${this.#bytes - MAX_LOG_BYTES} bytes]`);
  }

  /** In the order of the log. */
  get splats(): readonly Splat[] {
    return this.#splats;
  }

  #take(line: string): void {
    this.#onLine(line);
    const { seconds, text } = splitTimeStamp(line);
    const step = /^kstitch: step (\S+)/.exec(text)?.[1];
    if (step !== undefined) {
      this.#step = step;
      this.#close();
      return;
    }
    const current = this.#splats.at(-1);
    const open = current?.closed === false ? current : undefined;
    const kind = heads.find(([, head]) => head.test(text))?.[0];
    if (kind !== undefined) this.#takeHead(kind, text, seconds, current, open);
    else if (/^-+\[ cut here \]-+$/.test(text) || text.startsWith('---[ end ')) this.#close();
    else if (text.startsWith('Call Trace:')) this.#takeCallTrace(text, seconds, open);
    else if (open !== undefined) takeDetail(open, text);
  }

  #takeHead(
    kind: SplatKind,
    text: string,
    seconds: number | undefined,
    current: OpenSplat | undefined,
    open: OpenSplat | undefined,
  ): void {
    // An oops ends in a panic of its own (`oops=panic`), after the end of its trace: one report.
    if (kind === 'panic' && current?.kind === 'oops' && /Fatal exception/.test(text)) return;
    // `BUG: …` and `Oops: …` are two lines of one report, until its trace begins.
    if (open !== undefined && !open.traced && belongsTogether(open.kind, kind)) {
      if (gravity[kind] > gravity[open.kind]) open.kind = kind;
      return;
    }
    this.#open(kind, text, seconds, kind === 'warning' ? warnedFunction(text) : undefined);
  }

  #takeCallTrace(text: string, seconds: number | undefined, open: OpenSplat | undefined): void {
    // The watchdogs print the stacks of several processors in one report.
    if (open === undefined || (open.traced && !['lockup', 'rcu-stall', 'hung-task'].includes(open.kind))) {
      // sysrq prints stacks because it was asked to.
      if (this.#step?.startsWith('timeout') !== true) this.#open('trace', text, seconds, undefined);
    }
    const current = this.#splats.at(-1);
    if (current !== undefined) current.traced = true;
  }

  #open(kind: SplatKind, headline: string, seconds: number | undefined, name: string | undefined): void {
    this.#close();
    this.#splats.push({
      kind,
      headline,
      function: name,
      seconds,
      step: this.#step,
      trace: [],
      traced: kind === 'trace',
      closed: false,
    });
  }

  #close(): void {
    const current = this.#splats.at(-1);
    if (current !== undefined) current.closed = true;
  }
}

/**
 * @param line - `[    6.402214] text`, `[    6.402214][  T123] text` with CONFIG_PRINTK_CALLER
 * @returns its text and time; a line without a stamp is all text
 */
export function splitTimeStamp(line: string): {
  readonly seconds: number | undefined;
  readonly text: string;
} {
  const match = /^\[ *(\d+\.\d+)\](?:\[ *[TC]\d+\])? ?(.*)$/.exec(line);
  if (match === null) return { seconds: undefined, text: line };
  return { seconds: Number(match[1]), text: match[2] ?? '' };
}

/** @returns the name without what the compiler appends to the parts and copies of a function: `f.cold`, `f.isra.0` */
export function baseFunctionName(name: string): string {
  return name.replace(/(?:\.(?:cold|part|isra|constprop|llvm)(?:\.\d+)?)+$/, '');
}

function belongsTogether(opened: SplatKind, next: SplatKind): boolean {
  return opened === 'bug' && (next === 'oops' || next === 'bug' || next === 'panic');
}

/** `WARNING: CPU: 1 PID: 7 at fs/ext4/inode.c:123 ext4_writepages+0x1c/0x40 [ext4]` */
function warnedFunction(text: string): string | undefined {
  return / ([\w.$]+)\+0x[0-9a-f]+\/0x[0-9a-f]+/.exec(text)?.[1];
}

function takeDetail(open: OpenSplat, text: string): void {
  // 0010 is the kernel's code segment; 0033 would be a program's.
  const rip = /^RIP: 0010:([\w.$]+)\+0x[0-9a-f]+\/0x[0-9a-f]+/.exec(text)?.[1];
  if (rip !== undefined) {
    open.function ??= rip;
    return;
  }
  const name = open.traced ? frame.exec(text.trim())?.[1] : undefined;
  if (name !== undefined) open.trace.push(name);
}
