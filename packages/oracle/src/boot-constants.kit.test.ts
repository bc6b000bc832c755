import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hiddenUptime } from '@kstitch/testkit/hidden-uptime';
import { judgedLivepatch, type SpoiledModule, spoil } from '@kstitch/testkit/judged-livepatch';
import { ibtRelease } from '@kstitch/testkit/kit';
import { consultOracle } from './oracle.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-oracle-test-'));
after(() => rm(work, { recursive: true, force: true }));
const { question, bytes } = await judgedLivepatch(work, [await hiddenUptime()], ibtRelease);

async function findingsOf(how: (module: SpoiledModule) => void): Promise<readonly string[]> {
  const module = join(work, 'spoiled.ko');
  await writeFile(module, spoil(bytes, how));
  const { findings } = await consultOracle({ ...question, module }, new AbortController().signal);
  return findings.map(({ text }) => text);
}

const code = '.text.filldir64';
const variable = 'USER_PTR_MAX';
const read = (module: SpoiledModule) => module.relocationTo(`.rela${code}`, variable);

test('consultOracle() knows that access_ok() reads a variable in a module', async () => {
  assert.deepEqual(await findingsOf(() => {}), []);
});

const mutants: readonly (readonly [string, (module: SpoiledModule) => void, RegExp])[] = [
  [
    'the constant that vmlinux is given at boot',
    module => {
      const list = module.relocations(`.rela${code}`);
      const at = read(module).r_offset - 3;
      list.splice(list.indexOf(read(module)), 1);
      module.bytes(code).set([0x49, 0xb8, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01], at);
    },
    /^the byte at filldir64\+0x\w+ is 0x49, and was compiled as 0x4c$/,
  ],
  [
    'a variable read into another register',
    module => (module.bytes(code)[read(module).r_offset - 1] = 0x0d),
    /^the byte at filldir64\+0x\w+ is 0x0d, and was compiled as 0x05$/,
  ],
  [
    'a variable that is not read at all',
    module => {
      const list = module.relocations(`.rela${code}`);
      list.splice(list.indexOf(read(module)), 1);
    },
    /^the relocation at filldir64\+0x\w+ is missing$/,
  ],
  [
    'another variable',
    module => {
      const list = module.relocations(`.rela${code}`);
      const other = list.find(entry => module.targetOf(entry) === '__x86_return_thunk');
      assert.ok(other?.symbol !== undefined);
      read(module).symbol = other.symbol;
    },
    /leads to '__x86_return_thunk', and the source means 'USER_PTR_MAX'$/,
  ],
  [
    'what lies behind the variable',
    module => (read(module).r_addend += 8n),
    /leads to 'USER_PTR_MAX'\+0x8, and the source means 'USER_PTR_MAX'$/,
  ],
];

for (const [name, how, pattern] of mutants) {
  test(`consultOracle() finds ${name}`, async () => {
    const texts = await findingsOf(how);
    assert.ok(
      texts.some(text => pattern.test(text)),
      texts.join('\n'),
    );
  });
}
