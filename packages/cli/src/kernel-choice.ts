import { release as runningRelease } from 'node:os';
import type { Kit } from '@kstitch/build/kit/kit';
import { Machine } from '@kstitch/manager/machine';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { type Command, Option } from 'commander';
import { kitName } from './command-line.ts';

/** How a command line names a kernel; at most one of them is given. */
export interface KernelOptions {
  readonly kernel?: string;
  readonly kernelDir?: string;
  readonly fromRunning?: boolean;
  /** Address of a snapshot archive, for a kit that is fetched. */
  readonly snapshot?: string;
}

/** @param what - of `--kernel`: `kernel to build for` */
export function withKernelOptions(command: Command, what: string): Command {
  return withOtherKernels(
    command.addOption(
      new Option('-k, --kernel <release>', `${what} (default: the running one)`).argParser(kitName),
    ),
  );
}

/** The two ways to name a kernel that is not a release. */
export function withOtherKernels(command: Command): Command {
  return command
    .option('--kernel-dir <folder>', 'a kernel that you built: the folder with source, .config and vmlinux')
    .option(
      '--from-running',
      'the kernel that runs here, fetched if need be; refuse when it is another build',
    );
}

/** @throws KstitchError - `usage` where two kernels are named, or an archive for one that is not fetched */
export function checkKernelOptions({ kernel, kernelDir, fromRunning, snapshot }: KernelOptions): void {
  if (kernel !== undefined && (kernelDir !== undefined || fromRunning === true))
    throw new KstitchError('usage', 'a release goes with neither --kernel-dir nor --from-running');
  if (kernelDir !== undefined && fromRunning === true)
    throw new KstitchError('usage', '--kernel-dir does not go with --from-running');
  if (kernelDir !== undefined && snapshot !== undefined)
    throw new KstitchError('usage', '--snapshot does not go with --kernel-dir: nothing is fetched');
}

/**
 * @param machine - whose kernel `--from-running` means
 * @returns the kit; one that was fetched or made when the command line asks for that
 * @throws KstitchError - `usage`, `kit-absent`, `kit-other-build`, `own-kernel-incomplete` …
 */
export async function chooseKit(
  context: Context,
  options: KernelOptions,
  machine: Machine = new Machine(),
): Promise<Kit> {
  checkKernelOptions(options);
  const { kernel, kernelDir, fromRunning = false, snapshot } = options;
  const { checkRunning, fetchKit, openKit } = await import('@kstitch/build/kit/kit');
  const { kitOfDirectory } = await import('@kstitch/build/kit/own-kit');
  if (kernelDir !== undefined) return await kitOfDirectory(context, kernelDir);
  if (!fromRunning) return await openKit(kernel ?? runningRelease());
  const { readKernelIdentity } = await import('@kstitch/manager/kernel-identity');
  const running = readKernelIdentity(machine);
  const kit = await fetchKit(context, running.release, snapshot === undefined ? {} : { snapshot });
  await checkRunning(kit, running);
  return kit;
}
