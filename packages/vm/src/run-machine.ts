/**
 * One boot from start to end, watched: every way in which a virtual machine can end is told apart, and none is waited for
 * without a limit.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, writeAtomically } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { type Frame, GuestChannel } from './guest-channel.ts';
import { buildInitramfs, type InitramfsParts } from './initramfs.ts';
import { isFatal, KernelLog, type Splat } from './kernel-log.ts';
import {
  type Accelerator,
  type Disk,
  type Machine,
  type Processors,
  type QemuExit,
  startMachine,
} from './qemu.ts';
import { limits } from './settings.ts';

export interface MachineRunOptions {
  readonly accelerator: Accelerator;
  /** Path of the kernel's `vmlinuz`. */
  readonly vmlinuz: string;
  /** Without the settings that every run has: the nonce, the names of the disks. */
  readonly initramfs: InitramfsParts;
  readonly disks: readonly Disk[];
  readonly commandLine?: readonly string[];
  readonly processors?: Processors;
  /** A folder for temporary files, that outlives the run. */
  readonly directory: string;
  /** For messages: `the bare kernel`; runs that share a directory have different names. */
  readonly name: string;
  /** Seconds that a step may take; `init` is the first. */
  readonly limitOf: (step: string) => number;
  /** Seconds until the first step, default {@link limits.boot}. */
  readonly bootLimit?: number;
  readonly onStep?: (step: string) => void;
  /** Handed each line that the guest's scripts print, as it comes. */
  readonly onOutput?: (line: string) => void;
  /** Where the log is written, however the boot ended, unless it was interrupted. */
  readonly logPath?: string;
}

/** How a boot ended. */
export type Ending =
  /** The guest's script came to its end. */
  | { readonly kind: 'finished' }
  /** An oops or a panic. */
  | { readonly kind: 'crashed'; readonly splat: Splat }
  /** The machine was reset and the kernel said nothing: a triple fault. */
  | { readonly kind: 'reset' }
  /** The kernel was told to restart or to power off, and not by kstitch. */
  | { readonly kind: 'restarted' }
  /** A step went beyond its limit, and the guest's own watchdog did not speak. */
  | { readonly kind: 'hung'; readonly limitSeconds: number };

export interface MachineRun {
  readonly ending: Ending;
  /** The last step that was begun. */
  readonly step: string;
  readonly frames: readonly Frame[];
  readonly splats: readonly Splat[];
  /** The kernel log, and between its lines, marked `guest>`, what the guest's scripts printed. */
  readonly log: string;
  /** Wall time, from starting QEMU to its end. */
  readonly seconds: number;
}

/** How many of the log's last lines stand below an error. */
const LAST_LINES = 12;

/**
 * Boots a machine and waits for its end.
 *
 * @throws KstitchError - `vm-boot-failed` when the kernel did not get past its first step, `vm-guest-unusable` when init said that it cannot
 *   go on, `vm-qemu-died`, `vm-qemu-missing`, `interrupted`
 */
export async function runMachine(context: Context, options: MachineRunOptions): Promise<MachineRun> {
  if (context.signal.aborted) throw interruptedError(`boot ${options.name}`);
  const nonce = randomBytes(8).toString('hex');
  const initramfs = join(options.directory, `${options.name.replaceAll(/[^A-Za-z0-9]+/g, '-')}.initramfs`);
  const bytes = buildInitramfs({
    ...options.initramfs,
    settings: {
      NONCE: nonce,
      DISKS: options.disks.map((_, index) => diskName(index)).join(' '),
      ...options.initramfs.settings,
    },
  });
  await writeFile(initramfs, bytes).catch((error: unknown) => {
    throw fileError(`write '${initramfs}'`, error);
  });

  const began = performance.now();
  const machine = await startMachine({
    accelerator: options.accelerator,
    kernel: options.vmlinuz,
    initramfs,
    commandLine: options.commandLine ?? [],
    disks: options.disks,
    temporaryDirectory: options.directory,
    ...(options.processors === undefined ? {} : { processors: options.processors }),
  });
  const watch = new Watch(machine, nonce, options);
  const interrupt = () => machine.kill();
  context.signal.addEventListener('abort', interrupt, { once: true });
  let exit: QemuExit;
  try {
    // The signal may have come while QEMU was being started.
    if (context.signal.aborted) machine.kill();
    exit = await machine.ended;
  } finally {
    context.signal.removeEventListener('abort', interrupt);
    watch.stop();
  }
  if (context.signal.aborted) throw interruptedError(`boot ${options.name}`);

  // Beyond this point QEMU has ended and everything it said has been read.
  if (options.logPath !== undefined) await writeAtomically(options.logPath, watch.log);
  return watch.conclude(exit, (performance.now() - began) / 1000);
}

/** @returns the guest's name of a disk: `/dev/vda` for 0 */
export function diskName(index: number): string {
  return `/dev/vd${String.fromCharCode('a'.charCodeAt(0) + index)}`;
}

/** What is known of a machine while it runs, and its one timer. */
class Watch {
  readonly #machine: Machine;
  readonly #options: MachineRunOptions;
  readonly #lines: string[] = [];
  readonly #frames: Frame[] = [];
  readonly #kernelLog: KernelLog;
  readonly #guest: GuestChannel;
  #step: string | undefined;
  #done = false;
  /** Set when this side ended the machine because of a limit. */
  #exceeded: number | undefined;
  #timer: NodeJS.Timeout;

  constructor(machine: Machine, nonce: string, options: MachineRunOptions) {
    this.#machine = machine;
    this.#options = options;
    this.#kernelLog = new KernelLog(line => this.#lines.push(line));
    this.#guest = new GuestChannel(nonce, {
      onFrame: frame => this.#takeFrame(frame),
      onOutput: line => {
        this.#lines.push(`guest> ${line}`);
        options.onOutput?.(line);
      },
    });
    this.#timer = this.#arm(options.bootLimit ?? limits.boot);
    machine.kernelLog.on('data', (chunk: Buffer) => {
      const before = this.#kernelLog.splats.some(isFatal);
      this.#kernelLog.push(chunk);
      // QEMU ends by itself after a panic; it gets a little time for the rest of the log.
      if (!before && this.#kernelLog.splats.some(isFatal)) this.#rearm(limits.ending);
    });
    machine.kernelLog.once('end', () => this.#kernelLog.end());
    machine.guestChannel.on('data', (chunk: Buffer) => this.#guest.push(chunk));
    machine.guestChannel.once('end', () => this.#guest.end());
    // A serial port that breaks shows as the end of QEMU.
    for (const port of [machine.kernelLog, machine.guestChannel]) port.on('error', () => {});
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The kernel log, and between its lines, marked `guest>`, what the guest's scripts printed. */
  get log(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  conclude(exit: QemuExit, seconds: number): MachineRun {
    const { name } = this.#options;
    const splats = this.#kernelLog.splats;
    const crash = splats.find(isFatal);
    const ending = this.#ending(crash);
    const quiet = ending.kind === 'reset';
    // A status other than 0, or a signal that this side did not send, without a word of the kernel: QEMU itself failed.
    if (quiet && (exit.status !== 0 || exit.signal !== null)) {
      const how = exit.signal === null ? `status ${exit.status}` : `signal ${exit.signal}`;
      throw new KstitchError('vm-qemu-died', `boot ${name}: QEMU ended with ${how}`, {
        notes: [...lastLines(exit.words.split('\n')), ...lastLines(this.#lines)],
      });
    }
    if (this.#step === undefined) {
      throw new KstitchError(
        'vm-boot-failed',
        `boot ${name}: ${endingText(ending)}, its first program was not reached`,
        {
          notes: lastLines(this.#lines),
        },
      );
    }
    const unusable = this.#frames.find(({ kind }) => kind === 'unusable');
    if (unusable !== undefined) {
      throw new KstitchError('vm-guest-unusable', `boot ${name}: ${unusable.name} ${unusable.rest}`, {
        notes: lastLines(this.#lines),
      });
    }
    if (this.#step === 'init' && ending.kind !== 'finished') {
      throw new KstitchError('vm-boot-failed', `boot ${name}: ${endingText(ending)} while it was set up`, {
        notes: lastLines(this.#lines),
      });
    }
    return {
      ending,
      step: this.#step,
      frames: this.#frames,
      splats,
      log: this.log,
      seconds,
    };
  }

  #ending(crash: Splat | undefined): Ending {
    if (crash !== undefined) return { kind: 'crashed', splat: crash };
    if (this.#done) return { kind: 'finished' };
    if (this.#exceeded !== undefined) return { kind: 'hung', limitSeconds: this.#exceeded };
    const restarted = this.#lines.some(line => /\] reboot: /.test(line));
    return { kind: restarted ? 'restarted' : 'reset' };
  }

  #takeFrame(frame: Frame): void {
    this.#frames.push(frame);
    if (frame.kind === 'text') this.#lines.push(`guest> ${frame.rest}`);
    if (frame.kind === 'done') {
      this.#done = true;
      this.#rearm(limits.ending);
    }
    if (frame.kind === 'step') {
      this.#step = frame.name;
      this.#rearm(this.#options.limitOf(frame.name));
      this.#options.onStep?.(frame.name);
    }
  }

  #rearm(seconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = this.#arm(seconds);
  }

  #arm(seconds: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#exceeded = seconds;
      this.#machine.kill();
    }, seconds * 1000);
  }
}

/** @returns the ending in words that follow a colon: `the kernel crashed (BUG: …)` */
export function endingText(ending: Ending): string {
  switch (ending.kind) {
    case 'finished':
      return 'the run ended';
    case 'crashed':
      return `the kernel crashed (${ending.splat.headline})`;
    case 'reset':
      return 'the machine was reset without a word';
    case 'restarted':
      return 'the kernel was told to restart';
    case 'hung':
      return `it took more than ${ending.limitSeconds} s`;
  }
}

function lastLines(lines: readonly string[]): string[] {
  return lines.filter(line => line.trim() !== '').slice(-LAST_LINES);
}
