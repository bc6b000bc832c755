/** Mutated real objects: everything that looks at them throws our error or succeeds, soon. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import * as fc from 'fast-check';
import { editElf } from './edit.ts';
import { readGroups } from './groups.ts';
import { buildId } from './notes.ts';
import { readElf } from './read.ts';
import { readRelocations, relocationSectionsOf } from './relocations.ts';
import { writeElf } from './write.ts';

const source = `
  extern int printf(const char *, ...);
  static int counter;
  int shout(const char *what) { return printf("%s %d\\n", what, counter++); }
  int (*const table[])(const char *) = { shout };
  asm(".section .text.g,\\"axG\\",@progbits,g,comdat\\n.globl g\\ng: call shout\\n.text");
  asm(".section .note.gnu.build-id,\\"a\\",@note\\n.long 4, 4, 3\\n.asciz \\"GNU\\"\\n.long 1\\n.text");
`;
const skip = missingCompiler;

const originals =
  skip === false
    ? [
        compileC(source),
        compileC(source, ['-ffunction-sections', '-g']),
        compileC(source.concat('int main(void) { return 0; }'), ['-Wl,--emit-relocs', '-Wl,--build-id'], {
          link: true,
        }),
      ]
    : [];

/** Everything the package can do with a file. */
function useAll(bytes: Uint8Array): void {
  attempt(() => {
    const file = readElf(bytes, 'mutated');
    attempt(() => buildId(file));
    attempt(() => readGroups(file));
    for (const section of [...relocationSectionsOf(file).values()].flat()) {
      attempt(() => readRelocations(file, section));
    }
    attempt(() => {
      const again = writeElf(editElf(file).builder);
      // What we wrote ourselves has to be readable, whatever it came from, and has to stay as it is.
      assert.deepEqual(writeElf(editElf(readElf(again, 'written')).builder), again);
    });
  });
}

/** @returns whether it succeeded; fails the test when it threw anything but our error */
function attempt(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof KstitchError) return false;
    throw error;
  }
}

interface Mutation {
  /** Where, as a fraction; header tables are hit as often as all the rest. */
  readonly place: number;
  readonly area: 'anywhere' | 'elf header' | 'section headers' | 'symbols';
  readonly size: 1 | 2 | 4 | 8;
  readonly value: bigint;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  area: fc.constantFrom('anywhere', 'elf header', 'section headers', 'symbols'),
  size: fc.constantFrom(1, 2, 4, 8),
  value: fc.oneof(
    fc.bigInt({ min: 0n, max: 100n }),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    fc.constantFrom(0xffn, 0xffffn, 0xffffffffn, (1n << 63n) - 1n, (1n << 64n) - 1n, 1n << 52n),
  ),
});

function mutate(original: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  const bytes = original.slice();
  const view = new DataView(bytes.buffer);
  const { sections } = readElf(original, 'original');
  const shoff = Number(new DataView(original.buffer).getBigUint64(40, true));
  const symtab = sections.find(({ sh_type }) => sh_type === 2)!;
  const areas = {
    anywhere: [0, bytes.length],
    'elf header': [16, 48],
    'section headers': [shoff, sections.length * 64],
    symbols: [symtab.sh_offset, symtab.sh_size],
  } as const;
  for (const { place, area, size, value } of mutations) {
    const [start, length] = areas[area];
    // Fields are aligned, so aligned hits change one field and not parts of two.
    const at = start + Math.floor((place * length) / size) * size;
    if (at + size > bytes.length) continue;
    for (let byte = 0; byte < size; byte++)
      view.setUint8(at + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
  }
  return bytes;
}

test('the unchanged objects pass, so that what follows is about the mutations', { skip }, () => {
  for (const original of originals)
    assert.equal(
      attempt(() => writeElf(editElf(readElf(original, 'original')).builder)),
      true,
    );
});

test('mutated fields never lead to anything but our own error', { skip }, () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...originals),
      fc.array(mutation, { minLength: 1, maxLength: 6 }),
      (original, mutations) => useAll(mutate(original, mutations)),
    ),
    { numRuns: 3000 },
  );
});

test('a file cut off anywhere never leads to anything but our own error', { skip }, () => {
  for (const original of originals) {
    const step = Math.ceil(original.length / 500);
    for (let length = 0; length < original.length; length += step) useAll(original.subarray(0, length));
  }
});

test('random bytes behind a good start never lead to anything but our own error', { skip }, () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 400 }), tail => {
      useAll(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, ...tail]));
    }),
    { numRuns: 1000 },
  );
});
