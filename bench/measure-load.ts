/**
 * What loading a livepatch costs the kernel. 6.1 walks all of kallsyms for each klp relocation and each patched function, for
 * vmlinux's as for modules' (kernel/livepatch/core.c: klp_find_object_symbol()).
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Kit } from '@kstitch/build/kit/kit';
import { SHT } from '@kstitch/elf/constants';
import { readElf } from '@kstitch/elf/read';
import { readRelocations } from '@kstitch/elf/relocations';
import { silentContext } from '@kstitch/report/context';
import { bootOnce } from '@kstitch/vm/boot-once';
import type { Figure } from './figures.ts';

/** @param modulePath - a livepatch for the kit's kernel */
export async function measureLoad(kit: Kit, modulePath: string, runs: number): Promise<readonly Figure[]> {
  const bytes = await readFile(modulePath);
  const name = basename(modulePath, '.ko');
  const module = readElf(bytes, name);
  const relocations = module.sections
    .filter(section => section.sh_type === SHT.RELA && section.name.startsWith('.klp.rela.'))
    .flatMap(section => readRelocations(module, section));
  const symbols = new Set(relocations.map(({ r_sym }) => r_sym));

  const { output } = await bootOnce(silentContext(), {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    files: [{ path: '/livepatch.ko', bytes }],
    script: script(name, runs),
    timeoutSeconds: 120 * (runs + 1),
    label: `${kit.release} with ${name}`,
  });
  const seconds = Buffer.from(output)
    .toString('utf8')
    .trim()
    .split('\n')
    .map(line => line.split(' ').map(Number))
    .map(([before = Number.NaN, after = Number.NaN]) => after - before);
  return [
    {
      what: `klp relocations of the ext4 livepatch, to ${symbols.size} symbols`,
      unit: '',
      wanted: undefined,
      samples: [relocations.length],
    },
    { what: '… insmod in the virtual machine', unit: 's', wanted: undefined, samples: seconds },
  ];
}

/** @returns for each load one line: the seconds since boot before and after insmod */
function script(name: string, runs: number): string {
  const patch = `/sys/kernel/livepatch/${name}`;
  return `
wait_for() {
	until "$@"; do usleep 100000; done
}
in_force() { [ "$(cat ${patch}/transition)" = 0 ]; }
gone() { [ ! -e ${patch} ]; }
now() { cut -d' ' -f1 /proc/uptime; }
runs=${runs}
while [ "$runs" -gt 0 ]; do
	before=$(now)
	insmod /livepatch.ko || exit 1
	echo "$before $(now)"
	wait_for in_force
	echo 0 >${patch}/enabled
	wait_for gone
	wait_for rmmod ${name}
	runs=$((runs - 1))
done
`;
}
