import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import * as fc from 'fast-check';
import { type Kallsyms, readKallsyms } from './kallsyms.ts';
import { KernelImage } from './kernel-image.ts';

/** What scripts/kallsyms.c is given. */
interface Entry {
  readonly address: bigint;
  readonly type: string;
  readonly name: string;
}

interface Layout {
  readonly order: '6.1' | '6.12';
  readonly seqsOfNames: boolean;
  readonly absolutePercpu: boolean;
}

const text = 0xffffffff81000000n;
const rodata = 0xffffffff82000000n;
const roomForTables = 0x40000;

const layouts: readonly Layout[] = (['6.1', '6.12'] as const).flatMap(order =>
  [true, false].flatMap(absolutePercpu =>
    (order === '6.1' ? [true, false] : [true]).map(seqsOfNames => ({ order, seqsOfNames, absolutePercpu })),
  ),
);

/** Each part padded to 8 bytes, as `ALGN` does. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts.flatMap(part => [part, Buffer.alloc(-part.length & 7)]));
}

function words(values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeInt32LE(value | 0, index * 4);
  return bytes;
}

/** Writes the tables as scripts/kallsyms.c does, with pairs of characters for tokens instead of the best ones. */
function encodeKallsyms(
  entries: readonly Entry[],
  { order, seqsOfNames, absolutePercpu }: Layout,
): Uint8Array {
  const texts = entries.map(({ type, name }) => type + name);
  const tokens = Array<string>(256).fill('');
  for (const character of `0123456789${texts.join('')}`) tokens[character.charCodeAt(0)] = character;
  const pairs = new Set(texts.flatMap(text => text.match(/../g) ?? []));
  for (let code = 255; code >= 0; code--) {
    const [pair] = pairs;
    if (tokens[code] !== '' || pair === undefined) continue;
    tokens[code] = pair;
    pairs.delete(pair);
  }
  const codes = new Map(tokens.map((token, code) => [token, code]));

  const names: Uint8Array[] = [];
  const markers: number[] = [];
  let at = 0;
  for (const [index, text] of texts.entries()) {
    if (index % 256 === 0) markers.push(at);
    const packed: number[] = [];
    for (let from = 0; from < text.length; ) {
      const pair = codes.get(text.slice(from, from + 2));
      packed.push(pair ?? codes.get(text[from]!)!);
      from += pair === undefined ? 1 : Math.min(2, text.length - from);
    }
    const length = packed.length;
    const name = Uint8Array.from([
      ...(length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7]),
      ...packed,
    ]);
    names.push(name);
    at += name.length;
  }

  const relative = entries.filter(({ address }) => address >= text);
  const base = relative[0]?.address ?? text;
  const offsets = entries.map(({ address }) => {
    if (!absolutePercpu) return Number(address - base);
    return address < text ? Number(address) : Number(base - address - 1n);
  });
  const baseBytes = Buffer.alloc(8);
  baseBytes.writeBigUInt64LE(base);
  const tokenBytes = Buffer.from(tokens.map(token => `${token}\0`).join(''), 'latin1');
  const index = Buffer.alloc(512);
  let tokenAt = 0;
  for (const [code, token] of tokens.entries()) {
    index.writeUInt16LE(tokenAt, code * 2);
    tokenAt += token.length + 1;
  }
  const byName = entries
    .map((_, seq) => seq)
    .sort((a, b) => Buffer.compare(Buffer.from(entries[a]!.name), Buffer.from(entries[b]!.name)) || a - b);
  const seqs = Uint8Array.from(byName.flatMap(seq => [seq >> 16, (seq >> 8) & 0xff, seq & 0xff]));

  const head = [words([entries.length]), Buffer.concat(names), words(markers)];
  return order === '6.1'
    ? joined([words(offsets), baseBytes, ...head, ...(seqsOfNames ? [seqs] : []), tokenBytes, index])
    : joined([...head, tokenBytes, index, words(offsets), baseBytes, seqs]);
}

/** An executable of the real linker, with room for tables in .rodata. */
const template =
  missingCompiler === false
    ? compileC(
        `.globl _start\n.text\n_start: .skip 0x100000\n.section .rodata, "a"\n.skip ${roomForTables}, 0xaa\n`,
        [
          '-nostdlib',
          '-static',
          '-Wl,--build-id=none',
          `-Wl,-Ttext=0x${text.toString(16)}`,
          `-Wl,--section-start=.rodata=0x${rodata.toString(16)}`,
        ],
        { language: 'assembler', link: true },
      )
    : new Uint8Array(0);

function imageWith(tables: Uint8Array, at = 64): KernelImage {
  const bytes = template.slice();
  const section = readElf(bytes, 'vmlinux').sections.find(({ name }) => name === '.rodata')!;
  assert.ok(at + tables.length <= section.sh_size, `the test's tables have ${tables.length} bytes`);
  // Something like a token table stands before the real one.
  bytes.set(Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0', 'latin1'), section.sh_offset + 8);
  bytes.set(tables, section.sh_offset + at);
  return new KernelImage(readElf(bytes, 'vmlinux'));
}

function linesOf(symbols: Iterable<Entry>): string[] {
  return Array.from(symbols, ({ address, type, name }) => `${address.toString(16)} ${type} ${name}`);
}

function randomEntries(layout: Layout): fc.Arbitrary<Entry[]> {
  const name = fc.oneof(
    { weight: 9, arbitrary: fc.stringMatching(/^[a-z_]{1,8}(\.[0-9])?$/) },
    // So many different characters that it takes two bytes to say how many tokens.
    { weight: 1, arbitrary: fc.stringMatching(/^[a-zA-Z_0-9]{200,500}$/) },
  );
  const entry = fc.record({
    name,
    type: fc.constantFrom('t', 'T', 'd', 'D', 'b', 'B', 'r', 'R', 'A', 'w'),
    address: fc
      .tuple(fc.boolean(), fc.nat(0xfffff))
      .map(([percpu, offset]) => (percpu && layout.absolutePercpu ? 0n : text) + BigInt(offset)),
  });
  return fc
    .array(entry, { minLength: 1, maxLength: 700, size: 'max' })
    .map(entries => [{ name: '_text', type: 'T', address: text }, ...entries])
    .map(entries => entries.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0)));
}

const small: readonly Entry[] = [
  { address: 0n, type: 'A', name: '__per_cpu_start' },
  { address: 0x40n, type: 'A', name: 'runqueues' },
  { address: text, type: 'T', name: '_text' },
  { address: text, type: 'T', name: '_stext' },
  { address: text + 0x10n, type: 't', name: 'set_root' },
  { address: text + 0x30n, type: 't', name: 'twin' },
  { address: text + 0x40n, type: 'T', name: 'vfs_read' },
  { address: text + 0x40n, type: 't', name: 'twin' },
  { address: rodata, type: 'd', name: 'set_root' },
];
const real: Layout = { order: '6.1', seqsOfNames: true, absolutePercpu: true };

function smallKallsyms(): Kallsyms {
  return readKallsyms(imageWith(encodeKallsyms(small, real)));
}

for (const layout of layouts) {
  test(`tables come back as they were written: ${JSON.stringify(layout)}`, { skip: missingCompiler }, () => {
    fc.assert(
      fc.property(randomEntries(layout), fc.nat(100), (entries, gap) => {
        const image = imageWith(encodeKallsyms(entries, layout), 64 + gap * 8);
        assert.deepEqual(linesOf(readKallsyms(image)), linesOf(entries));
      }),
      // To shrink hundreds of names takes hours, and says no more than the seed.
      { numRuns: 40, endOnFailure: true },
    );
  });

  for (const count of [1, 2, 255, 256, 257, 511, 512, 513, 2000]) {
    test(`${count} symbols: ${JSON.stringify(layout)}`, { skip: missingCompiler }, () => {
      const entries = Array.from({ length: count }, (_, index) => ({
        name: `sym_${index}`,
        type: 't',
        address: text + BigInt(index) * 16n,
      }));
      assert.deepEqual(linesOf(readKallsyms(imageWith(encodeKallsyms(entries, layout)))), linesOf(entries));
    });
  }
}

test('the name behind the last marker may be as short as its padding', { skip: missingCompiler }, () => {
  for (let filler = 1; filler <= 8; filler++) {
    const entries = Array.from({ length: 257 }, (_, index) => ({
      name: index === 0 ? 'long'.repeat(filler) : 'v',
      type: 'T',
      address: text + BigInt(index),
    }));
    assert.deepEqual(linesOf(readKallsyms(imageWith(encodeKallsyms(entries, real)))), linesOf(entries));
  }
});

test('symbols of one name are told apart by position, data counted too', { skip: missingCompiler }, () => {
  const kallsyms = smallKallsyms();
  const found = kallsyms.named('set_root');
  assert.deepEqual(linesOf(found), [
    `${(text + 0x10n).toString(16)} t set_root`,
    `${rodata.toString(16)} d set_root`,
  ]);
  assert.deepEqual(
    found.map(symbol => kallsyms.positionOf(symbol)),
    [1, 2],
  );
  assert.deepEqual(kallsyms.named('no_such'), []);
  assert.deepEqual(kallsyms.named(''), []);
});

test('symbols are found by address', { skip: missingCompiler }, () => {
  const kallsyms = smallKallsyms();
  assert.deepEqual(
    kallsyms.at(text + 0x40n).map(({ name }) => name),
    ['vfs_read', 'twin'],
  );
  assert.deepEqual(kallsyms.at(text + 0x41n), []);
  assert.deepEqual(
    kallsyms.between(text + 0x10n, text + 0x40n).map(({ name }) => name),
    ['set_root', 'twin'],
  );
  assert.equal(kallsyms.covering(text + 0x2fn)?.name, 'set_root');
  assert.equal(kallsyms.covering(text + 5n)?.name, '_text', 'the first of two');
  assert.equal(kallsyms.extentOf(kallsyms.named('_text')[0]!), 0x10n);
  assert.equal(kallsyms.extentOf(kallsyms.named('vfs_read')[0]!), rodata - text - 0x40n);
});

test('nothing covers what is behind the last symbol of its space', { skip: missingCompiler }, () => {
  const kallsyms = smallKallsyms();
  assert.equal(kallsyms.covering(0x3fn)?.name, '__per_cpu_start');
  assert.equal(kallsyms.covering(0x40n)?.name, 'runqueues');
  assert.equal(kallsyms.extentOf(kallsyms.named('runqueues')[0]!), 0n);
  assert.equal(kallsyms.covering(0x41n), undefined);
  assert.equal(kallsyms.covering(text - 1n), undefined);
  assert.equal(kallsyms.covering(rodata)?.name, 'set_root');
  assert.equal(kallsyms.covering(rodata + 1n), undefined);
});

test('every lookup agrees with a plain search', { skip: missingCompiler }, () => {
  fc.assert(
    fc.property(randomEntries(real), entries => {
      const kallsyms = readKallsyms(imageWith(encodeKallsyms(entries, real)));
      for (const [index, symbol] of [...kallsyms].entries()) {
        assert.equal(symbol.index, index);
        const named = entries.flatMap(({ name }, at) => (name === symbol.name ? [at] : []));
        assert.deepEqual(
          kallsyms.named(symbol.name).map(({ index }) => index),
          named,
        );
        assert.equal(kallsyms.positionOf(symbol), named.indexOf(index) + 1);
        const first = entries.findIndex(({ address }) => address === symbol.address);
        assert.equal(kallsyms.at(symbol.address)[0]?.index, first);
        assert.equal(kallsyms.covering(symbol.address)?.index, first);
      }
    }),
    { numRuns: 10, endOnFailure: true },
  );
});

test('an image without tables, or with tables that contradict each other, is refused', {
  skip: missingCompiler,
}, () => {
  const good = encodeKallsyms(small, real);
  const descending = [...small.slice(0, 4), small[6]!, small[4]!];
  const elsewhere = small.map(entry => ({
    ...entry,
    address: entry.address + (entry.address < text ? 0n : 0x10000000n),
  }));
  const oneNameLess = good.slice();
  const countAt = 8 * Math.ceil(small.length / 2) + 8;
  assert.equal(oneNameLess[countAt], small.length);
  oneNameLess[countAt] = small.length - 1;
  for (const tables of [
    new Uint8Array(0),
    good.subarray(0, good.length - 8),
    good.subarray(16),
    oneNameLess,
    encodeKallsyms(descending, real),
    encodeKallsyms(elsewhere, real),
  ]) {
    assert.throws(() => readKallsyms(imageWith(tables)), { code: 'kernel-kallsyms' });
  }
});

test('names that do not meet their markers are refused', { skip: missingCompiler }, () => {
  const entries = Array.from({ length: 600 }, (_, index) => ({
    name: `sym_${index}`,
    type: 't',
    address: text + BigInt(index) * 16n,
  }));
  const tables = encodeKallsyms(entries, real);
  const namesAt = 8 * Math.ceil(entries.length / 2) + 16;
  // The first name swallows the beginning of the second; nothing but a walk over all names can see it.
  tables[namesAt] = (tables[namesAt] ?? 0) + 1;
  assert.throws(() => readKallsyms(imageWith(tables)), {
    code: 'kernel-kallsyms',
    message: /^cannot find kallsyms in 'vmlinux'/,
  });
});

test('a name that is longer than any kernel has is refused', { skip: missingCompiler }, () => {
  const entries = [{ address: text, type: 'T', name: 'x'.repeat(1024) }];
  assert.throws(() => readKallsyms(imageWith(encodeKallsyms(entries, real))), {
    code: 'kernel-kallsyms',
    message: /has 1025 characters/,
  });
});

test('random damage gives our error or a table that can be used', { skip: missingCompiler }, () => {
  for (const layout of layouts) {
    const entries = Array.from({ length: 300 }, (_, index) => ({
      name: `f${index % 40}_${'ab'.repeat(index % 90)}`,
      type: 'T',
      address: text + BigInt(index) * 16n,
    }));
    const good = encodeKallsyms(entries, layout);
    const change = fc.record({ at: fc.nat(good.length - 1), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 5 }),
        fc.nat(good.length * 4),
        (changes, length) => {
          const damaged = good.slice(0, length);
          for (const { at, value } of changes) if (at < damaged.length) damaged[at] = value;
          try {
            const kallsyms = readKallsyms(imageWith(damaged));
            for (const symbol of kallsyms) {
              assert.ok(kallsyms.positionOf(symbol) >= 1);
              assert.ok(kallsyms.covering(symbol.address) !== undefined);
            }
          } catch (error) {
            assert.ok(error instanceof KstitchError && error.code === 'kernel-kallsyms', String(error));
          }
        },
      ),
      { numRuns: 60 },
    );
  }
});
