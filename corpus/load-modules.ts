/** Loads livepatches into the stock kernel in a virtual machine, many in one boot, and takes each of them out again. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kit } from '@kstitch/build/kit/kit';
import { VMLINUX } from '@kstitch/livepatch/plan';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { type BootOnceResult, bootOnce } from '@kstitch/vm/boot-once';
import type { GuestFile } from '@kstitch/vm/initramfs';
import type { Splat } from '@kstitch/vm/kernel-log';
import { readKernelModules } from '@kstitch/vm/kernel-modules';
import type { BuiltModule } from './file-result.ts';

export interface LoadResult {
  /** The livepatch module's name. */
  readonly module: string;
  /** Of the module that was loaded. */
  readonly sha256: string;
  /** Whether it was loaded, came into force, was disabled and removed, and the kernel had nothing to say against it. */
  readonly ok: boolean;
  /**
   * Tasks that sleep in what the livepatch replaces and that no signal moves, mostly the main function of a kernel thread:
   * the transition was reversed and the livepatch removed, and the kernel had nothing to say against that. Empty else.
   */
  readonly stalledBy: readonly string[];
  /** The patched objects that were there: the kernel and those modules that could be loaded in the machine. */
  readonly applied: readonly string[];
  /** What went wrong; empty when nothing did. */
  readonly words: readonly string[];
}

export interface ModuleToLoad extends BuiltModule {
  readonly sha256: string;
}

/** Seconds that one livepatch may take at most, with all waiting; under emulation most take five. */
const SECONDS_EACH = 60;
/** Lines of the kernel's own words kept of a failure. */
const MAX_WORDS = 20;

/**
 * @param directory - where the modules lie
 * @returns one result a module. A boot that does not come to its end is tried again with each half of its modules, until the one
 *   that is to blame is alone.
 */
export async function loadModules(
  context: Context,
  kit: Kit,
  directory: string,
  modules: readonly ModuleToLoad[],
  options: { readonly withTargets: boolean } = { withTargets: true },
): Promise<readonly LoadResult[]> {
  const [only] = modules;
  if (only === undefined) return [];
  try {
    const run = await boot(context, kit, directory, modules, options.withTargets);
    return modules.map(module => judgeLoad(module, run));
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code !== 'vm-script-failed') throw error;
    if (modules.length > 1) {
      const half = Math.ceil(modules.length / 2);
      return [
        ...(await loadModules(context, kit, directory, modules.slice(0, half), options)),
        ...(await loadModules(context, kit, directory, modules.slice(half), options)),
      ];
    }
    // A driver that takes a machine without its device badly is not the livepatch's fault.
    if (options.withTargets && only.objects.some(object => object !== VMLINUX)) {
      return await loadModules(context, kit, directory, modules, { withTargets: false });
    }
    const words = [error.message, ...error.notes].slice(0, MAX_WORDS);
    return [{ module: only.name, sha256: only.sha256, ok: false, stalledBy: [], applied: [], words }];
  }
}

async function boot(
  context: Context,
  kit: Kit,
  directory: string,
  modules: readonly ModuleToLoad[],
  withTargets: boolean,
): Promise<BootOnceResult> {
  const targets = new Map<string, Uint8Array>();
  const lines: string[] = [];
  for (const { name, objects } of modules) {
    const wanted = withTargets ? objects.filter(object => object !== VMLINUX) : [];
    const order = await readKernelModules(context, kit.paths.modulesDirectory, {
      required: wanted,
      optional: [],
    });
    for (const target of order) targets.set(target.name, target.bytes);
    lines.push([name, ...order.map(target => target.name)].join(' '));
  }
  const files: GuestFile[] = [
    { path: '/kstitch/corpus/list', bytes: Buffer.from(`${lines.join('\n')}\n`) },
    ...[...targets].map(([name, bytes]) => ({ path: `/kstitch/corpus/target-${name}.ko`, bytes })),
  ];
  for (const { name } of modules) {
    files.push({ path: `/kstitch/corpus/${name}.ko`, bytes: await readFile(join(directory, `${name}.ko`)) });
  }
  return await bootOnce(context, {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    files,
    script: await readFile(new URL('load-modules.sh', import.meta.url), 'utf8'),
    timeoutSeconds: SECONDS_EACH * (modules.length + 1),
    label: `${kit.release} with ${modules.length} livepatches`,
  });
}

/** @returns what the guest's output (`NAME ok vmlinux`, `NAME stalled TASK`, `NAME failed WHAT`, `NAME says LINE`) and the kernel's log say about a livepatch */
export function judgeLoad(
  { name, sha256 }: Pick<ModuleToLoad, 'name' | 'sha256'>,
  { output, splats }: { readonly output: Uint8Array; readonly splats: readonly Splat[] },
): LoadResult {
  const said = Buffer.from(output)
    .toString('utf8')
    .split('\n')
    .filter(line => line.startsWith(`${name} `))
    .map(line => line.slice(name.length + 1));
  const end =
    said.find(line => /^(?:ok|stalled|failed)\b/.test(line)) ?? 'failed: the guest says nothing about it';
  const [verdict, ...rest] = end.trimEnd().split(' ');
  const faults = splats
    .filter(splat => splat.step === name)
    .map(splat => `the kernel reports: ${splat.headline}`);
  const failure =
    verdict === 'ok' || verdict === 'stalled' ? [] : [end, ...said.filter(line => line !== end)];
  return {
    module: name,
    sha256,
    ok: verdict === 'ok' && faults.length === 0,
    stalledBy: verdict === 'stalled' && faults.length === 0 ? rest : [],
    applied: verdict === 'ok' ? rest : [],
    words: [...failure, ...faults].slice(0, MAX_WORDS),
  };
}
