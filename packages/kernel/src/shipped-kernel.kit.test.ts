import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildId } from '@kstitch/elf/notes';
import { readElf } from '@kstitch/elf/read';
import { testKit } from '@kstitch/testkit/kit';
import { readBanner } from './banner.ts';
import { readBtf } from './btf.ts';
import { parseConfig } from './config.ts';
import { moduleFtraceSites, readFtraceSites } from './ftrace-sites.ts';
import { readKallsyms } from './kallsyms.ts';
import { KernelImage } from './kernel-image.ts';
import { readKernelLayout } from './kernel-layout.ts';
import { readModinfo } from './modinfo.ts';
import { dependenciesFromModinfo, modulesInLoadOrder, parseModulePaths } from './module-lists.ts';
import { parseSymvers } from './symvers.ts';

const { kit, release, vmlinux, modulesDirectory } = await testKit();
const image = new KernelImage(readElf(await readFile(vmlinux), 'vmlinux'));

async function someModules(count: number): Promise<{ path: string; elf: ReturnType<typeof readElf> }[]> {
  const paths = parseModulePaths(await readFile(join(modulesDirectory, 'modules.order'), 'utf8'));
  const chosen = paths.filter((_, index) => index % Math.ceil(paths.length / count) === 0);
  return await Promise.all(
    chosen.map(async path => ({ path, elf: readElf(await readFile(join(modulesDirectory, path)), path) })),
  );
}

test("struct module has the size and offsets that modpost gave the kernel's own modules", async () => {
  const layout = readKernelLayout(readBtf(image.elf)).module;
  for (const { path, elf } of await someModules(40)) {
    const section = elf.sections.find(({ name }) => name === '.gnu.linkonce.this_module');
    assert.equal(section?.sh_size, layout.size, path);
    const named = Buffer.from(section.bytes.subarray(layout.name)).toString('latin1').split('\0')[0];
    assert.equal(named, readModinfo(elf).get('name'), path);
  }
});

test('every ftrace site of the image is a call, every site of a module is in a section of code', async () => {
  const sites = readFtraceSites(image, readKallsyms(image));
  assert.ok(sites.count > 20_000, `${sites.count} sites`);
  for (const site of sites) assert.equal(image.readU8(site), 0xe8, site.toString(16));
  for (const { path, elf } of await someModules(40)) {
    for (const { section, offset } of moduleFtraceSites(elf)) {
      assert.equal(elf.sections[section]?.bytes[offset], 0xe8, `${path}: section ${section} + ${offset}`);
    }
  }
});

test('banner, build id, configuration and exports of one kernel agree', async () => {
  const banner = readBanner(image);
  assert.equal(banner.release, release);
  assert.equal(banner.packageVersion, kit.packageVersion);
  assert.match(banner.build, /^#\d+ /);
  const config = parseConfig(await readFile(kit.paths.config, 'utf8'));
  assert.equal(config.get('CONFIG_CC_VERSION_TEXT'), banner.compiler.text);
  assert.ok(config.isSet('CONFIG_LIVEPATCH'));
  assert.match(buildId(image.elf) ?? '', /^[0-9a-f]{40}$/);

  const kallsyms = readKallsyms(image);
  const exported = [...parseSymvers(await readFile(kit.paths.symvers, 'utf8')).values()];
  const missing = exported.filter(
    ({ name, module }) => module === 'vmlinux' && kallsyms.named(name).length === 0,
  );
  assert.deepEqual(
    missing.map(({ name }) => name),
    [],
  );
});

test('the modules of a disk are loaded in an order in which each finds what it needs', async () => {
  const paths = parseModulePaths(await readFile(join(modulesDirectory, 'modules.order'), 'utf8'));
  const virtio = paths.filter(path => path.includes('virtio'));
  const dependencies = dependenciesFromModinfo(
    await Promise.all(
      virtio.map(
        async path =>
          [path, readModinfo(readElf(await readFile(join(modulesDirectory, path)), path))] as const,
      ),
    ),
  );
  const order = modulesInLoadOrder(dependencies, ['virtio-blk', 'virtio-pci']).map(path =>
    path.split('/').at(-1),
  );
  for (const [before, after] of [
    ['virtio_ring.ko', 'virtio.ko'],
    ['virtio.ko', 'virtio_blk.ko'],
    ['virtio_pci_modern_dev.ko', 'virtio_pci.ko'],
  ] as const) {
    assert.ok(
      order.includes(before) && order.indexOf(before) < order.indexOf(after),
      `${before}: ${order.join(' ')}`,
    );
  }
});
