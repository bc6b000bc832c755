import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { StringTable } from './string-table.ts';
import { buildStringTable } from './string-table-builder.ts';

const byteName = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\u00ff'), maxLength: 12 });

test('every name is found at its offset', () => {
  fc.assert(
    fc.property(fc.array(byteName, { maxLength: 60 }), names => {
      const { bytes, offsets } = buildStringTable(names);
      const table = new StringTable(bytes, 'test');
      for (const name of names) {
        const offset = offsets.get(name);
        assert.ok(offset !== undefined);
        assert.equal(table.nameAt(offset, 'name'), name);
      }
    }),
  );
});

test('a name that ends another one takes no room', () => {
  fc.assert(
    fc.property(fc.array(byteName, { maxLength: 60 }), names => {
      const unique = [...new Set(names)];
      const roots = unique.filter(name => !unique.some(other => other !== name && other.endsWith(name)));
      const size = roots.filter(name => name !== '').reduce((sum, name) => sum + name.length + 1, 1);
      assert.equal(buildStringTable(names).bytes.length, size);
    }),
  );
});

test('names stand in the order given', () => {
  const { bytes } = buildStringTable(['.text', '.rela.text', '.bss', '', '.bss']);
  assert.equal(Buffer.from(bytes).toString('latin1'), '\0.rela.text\0.bss\0');
});

test('a name that a string table cannot hold is refused', () => {
  for (const name of ['a\0b', 'snowman \u2603']) {
    assert.throws(() => buildStringTable(['fine', name]), {
      code: 'elf-not-encodable',
      message: `cannot write the name ${JSON.stringify(name)}: its characters have to be bytes other than NUL`,
    });
  }
});
