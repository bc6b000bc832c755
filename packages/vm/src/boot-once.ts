/** One boot that runs one script, for whatever is to be known about a running kernel. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, withTemporaryDirectory } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { findAccelerator } from './accelerator.ts';
import { readBusybox } from './busybox.ts';
import { makeEmptyDisk } from './disk.ts';
import { numberIn } from './guest-channel.ts';
import type { GuestKernel } from './guest-kernel.ts';
import { type GuestFile, guestScript } from './initramfs.ts';
import type { Splat } from './kernel-log.ts';
import { diskModules, readKernelModules } from './kernel-modules.ts';
import type { Accelerator, Disk, Processors } from './qemu.ts';
import { diskName, endingText, runMachine } from './run-machine.ts';
import { limits, OUTPUT_DISK_MIB } from './settings.ts';

export interface BootOnceRequest {
  readonly kernel: GuestKernel;
  /** Further modules of the kernel that are loaded first, by name. */
  readonly modules?: readonly string[];
  readonly files?: readonly GuestFile[];
  /** Read by busybox sh, with the run's functions (guest/init.sh) out of reach; standard error goes to the log. */
  readonly script: string;
  /** For the script, in seconds of wall time. */
  readonly timeoutSeconds: number;
  /** Further disks: `/dev/vdb`, `/dev/vdc` …; the first is where the output goes. */
  readonly disks?: readonly Disk[];
  /** Further words of the kernel's command line: `nokaslr`. */
  readonly commandLine?: readonly string[];
  /** Default: whichever works. */
  readonly accelerator?: Accelerator;
  readonly processors?: Processors;
  /** What is shown while it runs. */
  readonly label?: string;
  /** Handed each line that the script writes to standard error, as it comes. */
  readonly onMessage?: (line: string) => void;
}

export interface BootOnceResult {
  readonly status: number;
  /** Standard output, at most {@link OUTPUT_DISK_MIB}. */
  readonly output: Uint8Array;
  /** The kernel log, and marked `guest>` what the script wrote to standard error. */
  readonly log: string;
  readonly splats: readonly Splat[];
  /** Wall time of the boot. */
  readonly seconds: number;
}

/**
 * @throws KstitchError - `vm-script-failed` when the kernel crashed or the time was up, `vm-boot-failed`, `vm-guest-unusable`,
 *   `vm-qemu-missing`, `vm-qemu-died`, `vm-busybox-missing`, `vm-module-unknown`, `interrupted`
 */
export function bootOnce(context: Context, request: BootOnceRequest): Promise<BootOnceResult> {
  const name = request.label ?? `'${request.kernel.release}'`;
  return context.progress.step(`boot ${name}`, update =>
    withTemporaryDirectory('boot', async directory => {
      const { kernel, files = [], script } = request;
      const accelerator = request.accelerator ?? (await findAccelerator(context, kernel.vmlinuzPath));
      const disk = join(directory, 'output');
      await makeEmptyDisk(disk, OUTPUT_DISK_MIB);
      const run = await runMachine(context, {
        accelerator,
        vmlinuz: kernel.vmlinuzPath,
        initramfs: {
          busybox: await readBusybox(),
          modules: await readKernelModules(context, kernel.modulesDirectory, {
            required: ['virtio_pci', 'virtio_blk', ...(request.modules ?? [])],
            optional: diskModules.optional,
          }),
          main: guestScript('once.sh'),
          settings: { OUTPUT: diskName(0) },
          files: [{ path: '/kstitch/script', bytes: Buffer.from(script) }, ...files],
        },
        disks: [{ path: disk, writes: 'keep' }, ...(request.disks ?? [])],
        commandLine: request.commandLine ?? [],
        directory,
        name,
        ...(request.processors === undefined ? {} : { processors: request.processors }),
        limitOf: step => (step === 'script' ? request.timeoutSeconds : limits.other),
        onStep: update,
        ...(request.onMessage === undefined ? {} : { onOutput: request.onMessage }),
      });
      const result = run.frames.find(({ kind }) => kind === 'output');
      const status = numberIn(result, 'status');
      const bytes = numberIn(result, 'bytes');
      if (status === undefined || bytes === undefined || run.ending.kind !== 'finished') {
        throw new KstitchError(
          'vm-script-failed',
          `boot ${name}: ${endingText(run.ending)} at step ${run.step}`,
          {
            notes: run.log.trimEnd().split('\n').slice(-20),
          },
        );
      }
      return {
        status,
        output: await readStart(disk, bytes),
        log: run.log,
        splats: run.splats,
        seconds: run.seconds,
      };
    }),
  );
}

async function readStart(path: string, length: number): Promise<Uint8Array> {
  try {
    const file = await open(path);
    try {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(`read '${path}'`, error);
  }
}
