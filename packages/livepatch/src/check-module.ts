import { SHN, STB } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { readRelocations, relocationSectionsOf } from '@kstitch/elf/relocations';
import { type Modinfo, readModinfo } from '@kstitch/kernel/modinfo';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { KernelWorld } from './kernel-world.ts';
import { readModuleVersions } from './module-versions.ts';
import type { LivepatchPlan } from './plan.ts';

/** What load_module() looks at before it looks at code (kernel/module/main.c, kernel/module/version.c). */
export function checkModule(file: ElfFile, plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  const modinfo = readModinfo(file);
  return [
    ...checkThisModule(file, plan, world),
    ...checkModinfo(modinfo, plan, world),
    ...checkImports(file, modinfo, world),
    ...checkName(plan, world),
  ];
}

const thisModule = '.gnu.linkonce.this_module';

function checkThisModule(file: ElfFile, plan: LivepatchPlan, { layout }: KernelWorld): Diagnostic[] {
  const finding = (text: string) => diagnostic('livepatch-this-module', { section: thisModule }, text);
  const sections = file.sections.filter(({ name }) => name === thisModule);
  const [section] = sections;
  if (section === undefined || sections.length > 1)
    return [finding(`the module has ${sections.length} sections '${thisModule}', not 1`)];
  const { size, name, init, exit } = layout.module;
  if (section.sh_size !== size)
    return [
      finding(`'${thisModule}' has ${section.sh_size} bytes, struct module of this kernel has ${size}`),
    ];
  const findings: Diagnostic[] = [];
  const relocated = (relocationSectionsOf(file).get(section.index) ?? [])
    .flatMap(relocations => readRelocations(file, relocations))
    .map(({ r_offset }) => r_offset)
    .toSorted((a, b) => a - b);
  const expected = [init, exit].toSorted((a, b) => a - b);
  if (relocated.join() !== expected.join())
    findings.push(
      finding(
        `'${thisModule}' has pointers at bytes ${relocated.join(', ')}, this kernel has init and exit at ${expected.join(', ')}`,
      ),
    );
  const written = new TextEncoder().encode(`${plan.moduleName}\0`);
  if (written.some((byte, index) => section.bytes[name + index] !== byte))
    findings.push(finding(`'${thisModule}' does not name '${plan.moduleName}' at byte ${name}`));
  return findings;
}

/** include/linux/license.h: license_is_gpl_compatible(). */
const gplLicenses: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

function checkModinfo(modinfo: Modinfo, plan: LivepatchPlan, { release }: KernelWorld): Diagnostic[] {
  const findings: Diagnostic[] = [];
  const place = { object: plan.moduleName, section: '.modinfo' };
  const say = (text: string) => findings.push(diagnostic('livepatch-modinfo', place, text));
  if (modinfo.get('livepatch') === undefined) say('modinfo does not say that it is a livepatch');
  const license = modinfo.get('license') ?? '';
  if (!gplLicenses.has(license))
    say(`modinfo has license '${license}', and livepatch is for GPL modules only`);
  const name = modinfo.get('name') ?? '';
  if (name !== plan.moduleName) say(`modinfo has name '${name}', not '${plan.moduleName}'`);

  const [built = ''] = (modinfo.get('vermagic') ?? '').split(' ', 1);
  if (built !== release) {
    const text = `the module is for '${built}', the kernel is '${release}'`;
    findings.push(diagnostic('livepatch-wrong-release', place, text));
  }
  for (const patched of plan.objects) {
    if (!modinfo.depends.includes(patched.name)) continue;
    const text = `the livepatch depends on '${patched.name}', which it patches`;
    findings.push(diagnostic('livepatch-depends', place, text));
  }
  return findings;
}

function checkImports(file: ElfFile, modinfo: Modinfo, { symvers }: KernelWorld): Diagnostic[] {
  const versions = readModuleVersions(file);
  const imported = new Set(modinfo.all('import_ns'));
  const findings: Diagnostic[] = [];

  const checkCrc = (name: string, crc: number): void => {
    const built = versions?.get(name);
    if (built === crc) return;
    const text =
      built === undefined
        ? `'__versions' has no entry for '${name}'`
        : `'__versions' has ${hex(built)} for '${name}', the kernel has ${hex(crc)}`;
    findings.push(diagnostic('livepatch-crc', { symbol: name }, text));
  };
  // Stands for struct module and what hangs from it: modpost adds it to every module.
  const layoutCrc = symvers.get('module_layout')?.crc;
  if (layoutCrc !== undefined) checkCrc('module_layout', layoutCrc);

  for (const { name, bind, st_shndx, index } of file.symbols) {
    if (index === 0 || st_shndx !== SHN.UNDEF) continue;
    const exported = symvers.get(name);
    if (bind === STB.WEAK) {
      const text = `nothing says where '${name}' is: the kernel would load the livepatch with address 0 in its place`;
      findings.push(diagnostic('livepatch-weak-undefined', { symbol: name }, text));
    } else if (exported === undefined) {
      const text = `the kernel does not export '${name}'`;
      findings.push(diagnostic('livepatch-undefined', { symbol: name }, text));
    } else {
      checkCrc(name, exported.crc);
      if (exported.namespace === undefined || imported.has(exported.namespace)) continue;
      const text = `'${name}' is exported in namespace '${exported.namespace}', which the module does not import`;
      findings.push(diagnostic('livepatch-namespace', { symbol: name }, text));
    }
  }
  return findings;
}

function checkName({ moduleName }: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  if (world.shippedModule(moduleName) === undefined) return [];
  const text = `the kernel ships a module named '${moduleName}'`;
  return [diagnostic('livepatch-module-name-taken', { object: moduleName }, text)];
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`;
}
