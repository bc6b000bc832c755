import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import type { KernelSymbol } from '@kstitch/kernel/kallsyms';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { kernelFlags } from '@kstitch/testkit/small-kernel';
import { findUsesInModule } from './module-uses.ts';
import { countUses } from './shipped-uses.ts';
import { type AddressNames, findUsesInVmlinux } from './vmlinux-uses.ts';

const skip = missingCompiler;

/** As kallsyms does: a symbol reaches to the next. */
function namesOf(elf: ElfFile): AddressNames {
  const symbols: KernelSymbol[] = elf.symbols
    .filter(
      ({ name, type }) => name !== '' && (type === STT.FUNC || type === STT.OBJECT || type === STT.NOTYPE),
    )
    .map(({ name, st_value }, index) => ({ index, name, type: 't', address: st_value }))
    .sort((a, b) => Number(a.address - b.address));
  return {
    named: name => symbols.filter(symbol => symbol.name === name),
    covering: address => symbols.findLast(symbol => symbol.address <= address),
    extentOf: ({ address }) =>
      (symbols.find(symbol => symbol.address > address)?.address ?? address) - address,
  };
}

function usesOf(source: string, name: string) {
  const bytes = compileC(
    source,
    [
      ...kernelFlags.filter(flag => !['-pg', '-mrecord-mcount', '-mfentry'].includes(flag)),
      '-mindirect-branch=keep',
      '-mfunction-return=keep',
      '-nostdlib',
      '-static',
      '-Wl,-Ttext-segment=0xffffffff81000000,-e,0,--build-id=none',
    ],
    { link: true },
  );
  const elf = readElf(bytes, 'vmlinux');
  const names = namesOf(elf);
  const address = names.named(name)[0]?.address ?? 0n;
  const found = findUsesInVmlinux(new KernelImage(elf), names, [address], x86_64).get(address) ?? [];
  const { callers, holders } = countUses(found, false);
  const show = (list: typeof callers) => list.map(use => `${use.kind} ${use.name} ${use.sites}`);
  return { callers: show(callers), holders: show(holders) };
}

const noinline = '__attribute__((noinline))';

test('callers are found with their number of sites, tail calls and recursion told apart', { skip }, () => {
  const source = `
int other(int);
${noinline} int target(int a) { return a > 9 ? target(a - 2) * 3 : other(a); }
${noinline} int twice(int a) { return target(a) + target(a + 1); }
${noinline} int tail(int a) { return target(a * 2); }
${noinline} int other(int a) { return a ^ 5; }
`;
  assert.deepEqual(usesOf(source, 'target'), { callers: ['call twice 2', 'jump tail 1'], holders: [] });
});

test('who takes the address: data by its object and offset, code by its function', { skip }, () => {
  const source = `
${noinline} int target(int a) { return a + 1; }
struct ops { long flags; int (*run)(int); };
struct ops ops = { 1, target };
int (*volatile where)(int);
void arm(void) { where = target; }
int call(int a) { return where(a); }
`;
  assert.deepEqual(usesOf(source, 'target'), { callers: [], holders: ['code arm 1', 'data ops+0x8 1'] });
});

test('four bytes within another operand are no call, and memory that is freed after boot calls nobody', {
  skip,
}, () => {
  const source = `
${noinline} int target(int a) { return a + 1; }
asm(".pushsection .text; .globl decoy; .type decoy, @function; decoy: movabs $0x1122334455667788, %rax; ret; .popsection");
asm(".pushsection .inittext,\\"ax\\"; .globl __init_begin; __init_begin: early: call target; ret; .globl __init_end; __init_end: nop; .popsection");
int caller(int a) { return target(a) - 7; }
`;
  assert.deepEqual(usesOf(source, 'target'), { callers: ['call caller 1'], holders: [] });
  // The last four bytes of the constant are the distance from there to target().
  const far = source.replace(
    'movabs $0x1122334455667788, %rax',
    '.byte 0x48, 0xb8; .byte 1, 2, 3, 0xe8; .long target - . - 4',
  );
  assert.ok(usesOf(far, 'target').callers.every(use => !use.includes('decoy')));
});

test('in a module: relocated calls, those that the assembler resolved, and addresses in data', {
  skip,
}, () => {
  const source = `
int exported(int); void __fentry__(void);
static ${noinline} int target(int a) { return exported(a) + 1; }
int first(int a) { return target(a) + target(a + 2); }
int tail(int a) { return target(a * 2); }
int (*table[2])(int) = { 0, target };
int direct(int a) { return exported(a) + exported(a + 1); }
int (*other)(int) = exported;
`;
  const file = readElf(compileC(source, kernelFlags), 'm.ko');
  const show = (name: string) => {
    const { callers, holders } = countUses(findUsesInModule(file, 'm', name, 0, x86_64), false);
    return [...callers, ...holders].map(use => `${use.kind} ${use.name} ${use.sites}`);
  };
  assert.deepEqual(show('target'), ['call first 2', 'jump tail 1', 'data table+0x8 1']);
  assert.deepEqual(show('exported'), ['call direct 2', 'call target 1', 'data other 1']);
});
