/** For tests: recorded machines on which a livepatch is installed, and their boots. */
import { renameSync, rmSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { type BootResult, bootLivepatch } from './boot.ts';
import {
  type Edits,
  moduleFor,
  notYetLoaded,
  type Recording,
  recordedManager,
  recordOf,
} from './fixture-machine.ts';
import { installLivepatch } from './install.ts';
import type { Manager } from './manager.ts';
import { readStatus } from './status.ts';

/** Quick: a second where the defaults are a minute. */
const quick = { 'etc/kstitch.toml': 'grace = 0\n[boot]\ntimeout = 1\nsettled = 1\nretry = 1\n' };

/** A machine on which `name` is installed. */
export async function installedOn(
  t: TestContext,
  recording: Recording,
  name: 'ext4' | 'pipe' = 'ext4',
  edits: Edits = {},
): Promise<Manager> {
  const manager = recordedManager(t, recording, { ...quick, ...edits });
  const { module, bundle } = moduleFor(recordOf(name));
  const files = { module, record: JSON.stringify(bundle) };
  await installLivepatch(silentContext(), manager, { files, what: 'x.json', replace: false });
  return manager;
}

/** The machine `active` with what is {@link notYetLoaded}, and yet installed. */
export async function loadable(t: TestContext, first = '', edits: Edits = {}): Promise<Manager> {
  const manager = await installedOn(t, 'active', 'ext4', edits);
  notYetLoaded(t, manager, first);
  return manager;
}

export function boot(manager: Manager, signal?: AbortSignal): Promise<BootResult> {
  return bootLivepatch(silentContext(signal), manager);
}

export function bootEvents({ journal }: Manager) {
  return journal
    .read()
    .entries.filter(({ action }) => action === 'boot')
    .map(({ result }) => result);
}

export async function tell(manager: Manager) {
  const { health, boot: now } = await readStatus(manager);
  return { health, ...now };
}

/** What the machine's next boot finds on the disk. */
export function nextBoot(t: TestContext, manager: Manager, recording: Recording, edits: Edits = {}): Manager {
  const next = recordedManager(t, recording, {
    ...quick,
    'proc/sys/kernel/random/boot_id': 'the next boot\n',
    ...edits,
  });
  rmSync(next.stateDirectory, { recursive: true });
  renameSync(manager.stateDirectory, next.stateDirectory);
  return next;
}
