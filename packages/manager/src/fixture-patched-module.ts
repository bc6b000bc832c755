/** For tests: a machine on which the module `loop` is patched, and what reload-target does to it. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { type Context, silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import {
  ext4Name,
  finishWhenReversed,
  moduleFor,
  recordedManager,
  recordOf,
  standIn,
} from './fixture-machine.ts';
import type { Manager } from './manager.ts';
import { readLivepatch, readModules } from './read-livepatches.ts';
import { type ReloadRequest, reloadTarget } from './reload-target.ts';
import { readStatus } from './status.ts';
import { findUnfinishedReload } from './unfinished-reload.ts';

export const gated = {
  references: [{ object: 'loop', name: 'lo_ioctl', sympos: 0, gate: 'loop', count: 1 }],
} as const;
export const loopLine = 'loop 32768 0 - Live 0x0\n';

export interface PatchedModule {
  readonly manager: Manager;
  /** What was called, in order. */
  calls(): string[];
  /** Brings the machine to where a step would have brought it. */
  disable(): void;
  /** From now on a disabling begins and does not end by itself. */
  holdKernel(): void;
  removeTarget(): void;
  removeLivepatch(): void;
}

/** A machine on which `loop` is patched, and tools that do to its files what the kernel would. */
export async function patchedModule(
  t: TestContext,
  fields: Partial<Bundle> = gated,
  edits: Parameters<typeof recordedManager>[2] = {},
): Promise<PatchedModule> {
  const folder = `sys/kernel/livepatch/${ext4Name}`;
  const manager = recordedManager(t, 'active', {
    [`${folder}/loop/patched`]: '1\n',
    [`${folder}/loop/lo_ioctl,1/x`]: '',
    ...edits,
  });
  const { root } = manager.machine;
  const modules = join(root, 'proc/modules');
  writeFileSync(modules, loopLine + readFileSync(modules, 'utf8'));
  const functions = join(root, 'sys/kernel/tracing/available_filter_functions');
  writeFileSync(functions, `${readFileSync(functions, 'utf8')}lo_ioctl [loop]\n`);
  const enabled = join(root, 'sys/kernel/tracing/enabled_functions');
  const handler = '(1)   I  \ttramp: 0x0 (klp_ftrace_handler+0x0/0x110) ->klp_ftrace_handler+0x0/0x110';
  writeFileSync(enabled, `${readFileSync(enabled, 'utf8')}lo_ioctl [loop] ${handler}\n`);

  const { module, bundle } = moduleFor(recordOf('ext4', fields));
  await manager.store.keep(ext4Name, { module, record: JSON.stringify(bundle) });
  cpSync(join(root, folder), join(root, 'away'), { recursive: true });
  const kernelStops = finishWhenReversed(manager.machine, ext4Name, '0');
  t.after(kernelStops);

  const drop = (name: string) => `sed -i '/^${name} /d' ${modules}`;
  standIn(t, 'rmmod', `echo "rmmod $1" >> ${root}/calls; sed -i "/^$1 /d" ${modules}`);
  standIn(t, 'insmod', `echo insmod >> ${root}/calls; ${put()}`);
  standIn(
    t,
    'modprobe',
    `[ "$1" = -D ] && { echo "insmod /lib/$2.ko"; exit; }; echo "modprobe $1" >> ${root}/calls; echo '${loopLine.trim()}' >> ${modules}`,
  );
  return {
    manager,
    calls: () => readFileSync(join(root, 'calls'), 'utf8').trim().split('\n'),
    holdKernel: kernelStops,
    disable: () => {
      kernelStops();
      rmSync(join(root, folder), { recursive: true });
      writeFileSync(
        modules,
        readFileSync(modules, 'utf8').replace(new RegExp(`^${ext4Name} (\\d+) 1`, 'm'), `${ext4Name} $1 0`),
      );
    },
    removeTarget: () => writeFileSync(modules, readFileSync(modules, 'utf8').replace(loopLine, '')),
    removeLivepatch: () =>
      writeFileSync(
        modules,
        readFileSync(modules, 'utf8').replace(new RegExp(`^${ext4Name} .*\\n`, 'm'), ''),
      ),
  };

  function put(): string {
    return `cp -r ${root}/away ${root}/${folder}; ${drop(ext4Name)}; echo '${ext4Name} 16384 1 - Live 0x0 (OEK)' >> ${modules}`;
  }
}

export function reload(
  manager: Manager,
  more: Partial<ReloadRequest> = {},
  context: Context = silentContext(),
) {
  return reloadTarget(context, manager, {
    target: 'loop',
    timeoutSeconds: 5,
    graceSeconds: 0,
    confirm: () => Promise.resolve(true),
    ...more,
  });
}

export async function failure(work: Promise<unknown>): Promise<KstitchError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KstitchError, String(error));
  return error;
}

/** The machine is as it should be, and nothing is left to do. */
export async function assertRestored(
  { machine, journal, kernel, ...rest }: Manager,
  result = 'restored',
): Promise<void> {
  assert.equal(readLivepatch(machine, ext4Name)?.phase, 'active');
  assert.ok(readModules(machine).some(({ name }) => name === 'loop'));
  const { entries } = journal.read();
  assert.deepEqual([entries.at(-1)?.action, entries.at(-1)?.result], ['reload', result]);
  assert.equal(findUnfinishedReload(machine, entries, kernel.bootId), undefined);
  assert.equal((await readStatus({ machine, journal, kernel, ...rest })).health, 'well');
}
