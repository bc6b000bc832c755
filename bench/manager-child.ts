/** Run by measure-manager.ts in a process of its own: `PART FOLDER`; prints one number, in milliseconds or per cent. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBundle } from '@kstitch/livepatch/bundle';
import { Machine } from '@kstitch/manager/machine';
import { type Manager, openManager } from '@kstitch/manager/manager';
import { silentContext } from '@kstitch/report/context';
import { root } from '../scripts/repository.ts';

const [, , part = '', folder = ''] = process.argv;

const machineOf = (recording: string): Manager =>
  openManager(new Machine(join(folder, recording)), join(folder, 'state'));

const parts: Readonly<Record<string, () => Promise<number>>> = {
  list: async () => {
    const begin = performance.now();
    const { readStatus } = await import('@kstitch/manager/status');
    await readStatus(machineOf('active'));
    return performance.now() - begin;
  },

  preflight: async () => {
    const files = livepatch();
    const begin = performance.now();
    const { preflight } = await import('@kstitch/manager/preflight');
    const { machine, kernel } = machineOf('bare');
    const findings = await preflight(machine, kernel, {
      bundle: parseBundle(files.record, 'x'),
      module: files.module,
      drop: [],
      freeDisk: 2 ** 30,
      bundleOf: () => Promise.resolve(undefined),
    });
    const took = performance.now() - begin;
    // What is refused at once would be quick.
    if (findings.length > 0) throw new Error(findings.map(({ text }) => text).join('\n'));
    return took;
  },

  load: async () => {
    const files = livepatch();
    const { module } = parseBundle(files.record, 'x');
    const manager = machineOf('active');
    const folderOf = join(manager.machine.root, 'sys/kernel/livepatch', module);
    const away = join(folder, 'away');
    renameSync(folderOf, away);
    writeFileSync(join(manager.machine.root, 'proc/modules'), '');
    // What the kernel does, done by moving a folder.
    await putInFront('insmod', `mv ${away} ${folderOf}`);
    const begin = performance.now();
    const { loadLivepatch } = await import('@kstitch/manager/load');
    const { insmodSeconds = 0, transitionSeconds = 0 } = await loadLivepatch(silentContext(), manager, {
      files,
      what: 'x.json',
      timeoutSeconds: 1,
      graceSeconds: 0,
      drop: [],
      dryRun: false,
    });
    return performance.now() - begin - 1000 * (insmodSeconds + transitionSeconds);
  },

  watch: async () => {
    const seconds = 5;
    const { watchTransition } = await import('@kstitch/manager/watch');
    const { pipe } = JSON.parse(readFileSync(join(folder, 'names'), 'utf8')) as { pipe: string };
    const before = process.cpuUsage();
    const { end } = await watchTransition(
      silentContext(),
      machineOf('enabling-task').machine,
      pipe,
      'active',
      seconds,
    );
    const { user, system } = process.cpuUsage(before);
    if (end !== 'timeout') throw new Error(`the watch ended: ${end}`);
    return (user + system) / 1e6 / seconds / 0.01;
  },
};

function livepatch() {
  const record = JSON.parse(readFileSync(join(root, 'packages/manager/src/fixtures/ext4.json'), 'utf8'));
  const module = readFileSync(join(folder, 'ext4.ko'));
  const sha256 = createHash('sha256').update(module).digest('hex');
  return { module, record: JSON.stringify({ ...record, sha256 }) };
}

async function putInFront(tool: string, command: string): Promise<void> {
  const tools = join(folder, 'tools');
  mkdirSync(tools, { recursive: true });
  writeFileSync(join(tools, tool), `#!/bin/sh\n${command}\n`);
  await chmod(join(tools, tool), 0o755);
  process.env['PATH'] = `${tools}:${process.env['PATH']}`;
}

const work = parts[part];
if (work === undefined) throw new RangeError(`there is no part '${part}'`);
console.log(await work());
