/** What is read out of the kernel's bytes is what the booted kernel itself says, symbol by symbol. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { readKallsyms } from '@kstitch/kernel/kallsyms';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { silentContext } from '@kstitch/report/context';
import { testKit } from '@kstitch/testkit/kit';
import { bootOnce } from './boot-once.ts';

test('kallsyms of vmlinux is /proc/kallsyms of the booted kernel, less the modules', async () => {
  const { kit } = await testKit();
  const { vmlinux, vmlinuz, modulesDirectory } = kit.paths;
  const { status, output, splats } = await bootOnce(silentContext(), {
    kernel: { release: kit.release, vmlinuzPath: vmlinuz, modulesDirectory },
    commandLine: ['nokaslr'],
    script: 'cat /proc/kallsyms\n',
    timeoutSeconds: 60,
  });
  assert.deepEqual([status, splats], [0, []]);
  const lines = Buffer.from(output).toString('latin1').trimEnd().split('\n');
  // `ffffffffc0000000 t virtio_init	[virtio]`; BPF programs and ftrace's trampolines are written like modules.
  const isOfModule = (line: string) => line.includes('\t[');
  const booted = lines.filter(line => !isOfModule(line));
  assert.ok(lines.some(isOfModule), 'no module was loaded, so none was told apart');

  const read = [...readKallsyms(new KernelImage(readElf(await readFile(vmlinux), 'vmlinux')))].map(
    ({ address, type, name }) => `${address.toString(16).padStart(16, '0')} ${type} ${name}`,
  );
  assert.ok(read.length > 50_000, `${read.length} symbols`);
  // Not deepEqual of both lists: what it prints about 100,000 differences takes minutes.
  const first = read.findIndex((line, index) => line !== booted[index]);
  assert.deepEqual(
    [first, read[first], read.length],
    [-1, undefined, booted.length],
    `booted: ${booted[first]}`,
  );
});
