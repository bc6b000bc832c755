/** For tests: recorded machines (scripts/record-machine.ts) as folders, and the livepatches that were loaded into them. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Bundle, parseBundle } from '@kstitch/livepatch/bundle';
import { KstitchError } from '@kstitch/report/error';
import { compileC } from '@kstitch/testkit/compile';
import { makeTree } from '@kstitch/testkit/tree-text';
import { Machine } from './machine.ts';
import { type Manager, openManager } from './manager.ts';

type State =
  | 'bare'
  | 'kprobes'
  | 'active'
  | 'enabling-task'
  | 'enabling-kthread'
  | 'disabling-task'
  | 'disabled';

/** Linux 6.1 unless it says otherwise. */
export type Recording = State | `6.12/${State}`;

type Trial = 'ext4' | 'pipe' | 'kthreadd';

const fixtures = join(import.meta.dirname, 'fixtures');

/** Files to be written over the recorded ones, by path; undefined removes a file or folder. */
export type Edits = Readonly<Record<string, string | undefined>>;

/** @returns the recorded machine, in a folder of its own that is gone after the test */
export function recorded(t: TestContext, recording: Recording, edits: Edits = {}): Machine {
  const root = temporary(t);
  makeTree(readFileSync(join(fixtures, `${recording}.tree`), 'utf8'), root);
  for (const [path, content] of Object.entries(edits)) {
    if (content === undefined) rmSync(join(root, path), { recursive: true, force: true });
    else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
  }
  return new Machine(root);
}

/** @returns that machine with an empty state folder */
export function recordedManager(t: TestContext, recording: Recording, edits: Edits = {}): Manager {
  return openManager(recorded(t, recording, edits), temporary(t));
}

export function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** @returns the record of a livepatch that was loaded while the machines were recorded, with other fields where given */
export function recordOf(name: Trial | `6.12/${Trial}`, fields: Partial<Bundle> = {}): Bundle {
  const bundle = parseBundle(readFileSync(join(fixtures, `${name}.json`), 'utf8'), name);
  return { ...bundle, ...fields };
}

export const pipeName = recordOf('pipe').module;
export const ext4Name = recordOf('ext4').module;
export const kthreaddName = recordOf('kthreadd').module;

const compiled = new Map<string, Uint8Array>();

/** @returns a module that says of itself what a livepatch of that name does, and has no code; the record to it */
export function moduleFor(
  bundle: Bundle,
  modinfo: readonly string[] = [`name=${bundle.module}`, 'livepatch=Y'],
): { readonly module: Uint8Array; readonly bundle: Bundle } {
  const texts = modinfo.map(
    (text, index) =>
      `__attribute__((section(".modinfo"), used, aligned(1))) static const char m${index}[] = ${JSON.stringify(text)};`,
  );
  const source = texts.join('\n');
  const module = compiled.get(source) ?? compileC(source);
  compiled.set(source, module);
  return { module, bundle: { ...bundle, sha256: createHash('sha256').update(module).digest('hex') } };
}

/** @returns the machine as `kernel.yama.ptrace_scope=3` shows it, also to root */
export function withoutTasks({ root }: Machine): Machine {
  const machine = new Machine(root);
  const read = machine.read.bind(machine);
  machine.read = (path, limit) => {
    if (/\/(?:patch_state|stack)$/.test(path))
      throw new KstitchError('machine-not-root', `read '${path}': permission denied (EPERM)`);
    return read(path, limit);
  };
  return machine;
}

/** @returns the machine with a kernel that takes no word about a livepatch any more, as when its transition ended just now */
export function withoutOrders({ root }: Machine): Machine {
  const machine = new Machine(root);
  machine.write = path => {
    throw new KstitchError('machine-unreadable', `write '${path}': EINVAL`);
  };
  return machine;
}

/** Puts a livepatch into the store, as if it had been loaded. */
export async function keep(manager: Manager, bundle: Bundle): Promise<void> {
  await manager.store.keep(bundle.module, {
    module: new Uint8Array([1]),
    record: JSON.stringify(bundle),
  });
}

/** Copies a livepatch of a recorded machine under another name, as if it had been loaded after it. */
export function copyLivepatch(machine: Machine, from: string, to: string): void {
  const folder = join(machine.root, 'sys/kernel/livepatch');
  cpSync(join(folder, from), join(folder, to), { recursive: true });
  const modules = join(machine.root, 'proc/modules');
  writeFileSync(modules, `${to} 16384 1 - Live 0x0 (OEK)\n${readFileSync(modules, 'utf8')}`);
}

/**
 * Stands in for the kernel where a test has none: once somebody turns the transition round, it comes to its end.
 *
 * @param enabled - what is written to turn it round
 */
export function finishWhenReversed(machine: Machine, name: string, enabled: '0' | '1'): () => void {
  const folder = join(machine.root, 'sys/kernel/livepatch', name);
  const timer = setInterval(() => {
    if (!readFileSync(join(folder, 'enabled'), 'utf8').startsWith(enabled)) return;
    clearInterval(timer);
    if (enabled === '1') return writeFileSync(join(folder, 'transition'), '0\n');
    rmSync(folder, { recursive: true });
    const modules = readFileSync(join(machine.root, 'proc/modules'), 'utf8');
    return writeFileSync(
      join(machine.root, 'proc/modules'),
      modules.replace(`${name} 16384 1`, `${name} 16384 0`),
    );
  }, 5);
  return () => clearInterval(timer);
}

/**
 * Puts a shell script in front of PATH: `insmod`, `rmmod` and `modprobe` change the machine that the tests run on, which is none of theirs.
 */
export function standIn(t: TestContext, tool: 'insmod' | 'rmmod' | 'modprobe', script: string): void {
  const folder = temporary(t);
  writeFileSync(join(folder, tool), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, tool), 0o755);
  const before = process.env['PATH'];
  process.env['PATH'] = `${folder}:${before}`;
  t.after(() => {
    process.env['PATH'] = before;
  });
}

/** The machine `active` before its livepatch is loaded; insmod then does, after `first`, in its root. */
export function notYetLoaded(t: TestContext, { machine: { root } }: Manager, first = ''): void {
  const folder = `${root}/sys/kernel/livepatch`;
  standIn(t, 'insmod', `cd ${root}\n${first}\nmv ${root}/away ${folder}/${ext4Name}`);
  renameSync(`${folder}/${ext4Name}`, `${root}/away`);
  writeFileSync(`${root}/proc/modules`, '');
}
