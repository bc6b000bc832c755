/** One boot of the test kernel in which kstitch itself loads and unloads livepatches. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { type BootOnceResult, bootOnce } from '@kstitch/vm/boot-once';
import type { Processors } from '@kstitch/vm/qemu';
import { type GuestContents, guestRootScript, makeGuestRoot } from './guest-root.ts';
import { testKit, testRelease } from './kit.ts';
import { blockerPatches } from './manager-patches.ts';

export interface GuestLivepatches<Name extends string> {
  /** Names of the modules; each lies at `/NAME.ko`, its record beside it. */
  readonly names: Readonly<Record<Name, string>>;
  /** By path in the guest. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

export type Trials = GuestLivepatches<keyof Awaited<ReturnType<typeof blockerPatches>>>;

/** @param directory - an empty folder for what is built */
export async function buildTrials(directory: string): Promise<Trials> {
  return await buildForGuest(directory, await blockerPatches());
}

/**
 * @param directory - an empty folder for what is built
 * @param patches - by the livepatches' names; several are applied one after the other
 */
export async function buildForGuest<Name extends string>(
  directory: string,
  patches: Readonly<Record<Name, string | readonly string[]>>,
  release = testRelease,
): Promise<GuestLivepatches<Name>> {
  const files: Record<string, Uint8Array> = {};
  const built = await Promise.all(
    Object.entries<string | readonly string[]>(patches).map(async ([name, texts]) => {
      const { bundle, modulePath, bundlePath } = await buildLivepatch(silentContext(), {
        patches: [texts].flat().map((text, index) => ({
          name: index === 0 ? `${name}.patch` : `${name}-${index + 1}.patch`,
          bytes: Buffer.from(text, 'latin1'),
        })),
        release,
        name,
        outputDirectory: directory,
      });
      files[`/${bundle.module}.ko`] = readFileSync(modulePath);
      files[`/${bundle.module}.json`] = readFileSync(bundlePath);
      return [name, bundle.module] as const;
    }),
  );
  return { names: Object.fromEntries(built) as Record<Name, string>, files };
}

export interface GuestRun extends GuestContents {
  /** Default: the test kernel. */
  readonly release?: string;
  /** Run with the functions of `guestRootScript`. */
  readonly script: string;
  readonly timeoutSeconds: number;
  /** Further words of the kernel's command line. */
  readonly commandLine?: readonly string[];
  readonly processors?: Processors;
  /** Handed each line that the script writes to standard error, as it comes. */
  readonly onMessage?: (line: string) => void;
  /** What the guest writes is there in the next run with this directory; its root is that of the first. */
  readonly keep?: boolean;
}

/** An emulated processor may stand still for as long as the machine below it has other things to do. */
const patience = ['rcupdate.rcu_cpu_stall_timeout=300', 'watchdog_thresh=60'];

/** @param directory - for the image of the guest's root */
export async function runWithKstitch(directory: string, run: GuestRun): Promise<BootOnceResult> {
  const context = silentContext();
  const { kit } = await testKit(run.release);
  const image = join(directory, 'root.img');
  if (!existsSync(image)) await makeGuestRoot(context, image, run);
  return await bootOnce(context, {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    disks: [{ path: image, writes: run.keep === true ? 'keep' : 'discard' }],
    script: guestRootScript + run.script,
    timeoutSeconds: run.timeoutSeconds,
    commandLine: [...patience, ...(run.commandLine ?? [])],
    ...(run.processors === undefined ? {} : { processors: run.processors }),
    ...(run.onMessage === undefined ? {} : { onMessage: run.onMessage }),
  });
}
