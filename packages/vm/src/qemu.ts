/** QEMU as a child process: a machine with two serial ports, virtio disks and no network. */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { KstitchError } from '@kstitch/report/error';
import { machineSize } from './settings.ts';

/** How QEMU runs the guest's instructions: in the processor, or emulated. */
export type Accelerator = 'kvm' | 'tcg';

export interface Disk {
  /** A raw image. */
  readonly path: string;
  /** `discard`: what the guest writes is gone afterwards, and several machines may use the image at once. */
  readonly writes: 'keep' | 'discard';
}

export interface MachineOptions {
  readonly accelerator: Accelerator;
  /** The kernel's `vmlinuz`. */
  readonly kernel: string;
  readonly initramfs: string;
  /** Further words of the kernel's command line. */
  readonly commandLine: readonly string[];
  /** `/dev/vda`, `/dev/vdb` … in this order. */
  readonly disks: readonly Disk[];
  /** Where QEMU puts temporary files. */
  readonly temporaryDirectory: string;
  /** Of emulated processors, default `in turn`. */
  readonly processors?: Processors;
}

/**
 * Whether emulated processors share one thread of QEMU or have one each. In turn is as fast where two machines share two cores; at
 * once, QEMU 7.2 now and then crashes while the kernel finds its devices: on a busy machine about one boot in 60.
 */
export type Processors = 'in turn' | 'at once';

export interface QemuExit {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** QEMU's own words, the last of them. */
  readonly words: string;
}

export interface Machine {
  /** ttyS0. */
  readonly kernelLog: Readable;
  /** ttyS1. */
  readonly guestChannel: Readable;
  /** Ends the machine at once. */
  readonly kill: () => void;
  /** Settles when QEMU has ended and both serial ports were read to their end. */
  readonly ended: Promise<QemuExit>;
}

const program = 'qemu-system-x86_64';

/** In characters, of QEMU's standard error. */
const MAX_WORDS = 64 * 1024;

/**
 * Words of every kernel command line.
 *
 * The kernel stops at the first oops instead of going on without the task that had it: a kworker that is gone would show as a
 * `sync` that never returns. With `panic=-1` it restarts at once then, and QEMU, told not to, ends.
 */
const kernelWords = ['console=ttyS0,115200', 'oops=panic', 'panic=-1', 'printk.devkmsg=on', 'loglevel=8'];

/**
 * Processors that both 6.1 and 6.12 boot on. Emulated, a processor of few features: whatever the kernel finds, it uses, and
 * emulated vector instructions are slow.
 */
const processorModels: Readonly<Record<Accelerator, string>> = { kvm: 'host', tcg: 'Nehalem' };

/** @throws KstitchError - `vm-qemu-missing` */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  // Without kstitch, killed by force, a machine would run on and keep its memory: it dies with its parent.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', await findQemu(), ...qemuArguments(options)], {
    // Both serial ports are sockets that the child inherits, so that nothing needs a name in a file system.
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', TMPDIR: options.temporaryDirectory },
    // Ctrl-C on the terminal goes to kstitch, which ends QEMU and tidies up.
    detached: true,
  });
  let words = '';
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => {
    words = (words + text).slice(-MAX_WORDS);
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<QemuExit>((resolve, reject) => {
    child.once('error', cause => {
      process.off('exit', kill);
      reject(new KstitchError('vm-qemu-died', `start '${program}': ${cause.message}`, { cause }));
    });
    child.once('close', (status, signal) => {
      process.off('exit', kill);
      resolve({ status, signal, words });
    });
  });
  const [, , , kernelLog, guestChannel] = child.stdio;
  if (!(kernelLog instanceof Readable) || !(guestChannel instanceof Readable)) {
    kill();
    throw new TypeError(`'${program}' was started without its serial ports`);
  }
  return { kernelLog, guestChannel, kill, ended };
}

/** @returns the version as QEMU prints it: `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)` */
export function qemuVersionOf(firstLine: string): string {
  return /version (.+)$/m.exec(firstLine)?.[1]?.trim() ?? firstLine.trim();
}

/** @throws KstitchError - `vm-qemu-missing` */
export async function findQemu(path: string = process.env['PATH'] ?? ''): Promise<string> {
  for (const folder of path.split(delimiter).filter(part => part !== '')) {
    const candidate = join(folder, program);
    const runs = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return candidate;
  }
  throw new KstitchError('vm-qemu-missing', `find '${program}': it is not installed`);
}

function qemuArguments(options: MachineOptions): string[] {
  const { accelerator, disks, processors = 'in turn' } = options;
  const option = (path: string) => path.replaceAll(',', ',,');
  return [
    ['-accel', accelerator === 'kvm' ? 'kvm' : `tcg,thread=${processors === 'at once' ? 'multi' : 'single'}`],
    ['-cpu', processorModels[accelerator]],
    ['-smp', String(machineSize.cpus)],
    ['-m', String(machineSize.memoryMiB)],
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ['-kernel', options.kernel, '-initrd', options.initramfs],
    ['-append', [...kernelWords, ...options.commandLine].join(' ')],
    ['-chardev', 'socket,id=log,fd=3', '-serial', 'chardev:log'],
    ['-chardev', 'socket,id=guest,fd=4', '-serial', 'chardev:guest'],
    ...disks.map(({ path, writes }, index) => [
      '-drive',
      // The images are gone afterwards: nothing needs to reach the disk of this machine.
      `file=${option(path)},format=raw,if=none,id=disk${index},cache=unsafe,snapshot=${writes === 'discard' ? 'on' : 'off'}`,
      '-device',
      `virtio-blk-pci,drive=disk${index}`,
    ]),
  ].flat();
}
