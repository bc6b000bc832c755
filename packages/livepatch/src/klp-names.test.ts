import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  formatKlpRelocationSection,
  formatKlpSymbol,
  parseKlpRelocationSection,
  parseKlpSymbol,
} from './klp-names.ts';

test('klp symbols are written as the kernel parses them', () => {
  const symbol = { object: 'vmlinux', name: 'foo.isra.0', sympos: 2 };
  assert.equal(formatKlpSymbol(symbol), '.klp.sym.vmlinux.foo.isra.0,2');
  assert.deepEqual(parseKlpSymbol('.klp.sym.vmlinux.foo.isra.0,2'), symbol);
});

test('parseKlpSymbol() is the inverse of formatKlpSymbol()', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^\w{1,55}$/),
      fc.stringMatching(/^[\w.$]{1,511}$/),
      fc.nat(),
      (object, name, sympos) => {
        assert.deepEqual(parseKlpSymbol(formatKlpSymbol({ object, name, sympos })), { object, name, sympos });
      },
    ),
  );
});

test('parseKlpSymbol() refuses what the kernel refuses', () => {
  for (const name of [
    'foo',
    '.klp.sym.vmlinux.foo',
    '.klp.sym.vmlinux,1',
    '.klp.sym..foo,1',
    `.klp.sym.${'m'.repeat(56)}.f,0`,
  ])
    assert.equal(parseKlpSymbol(name), undefined, name);
});

test('klp relocation sections name their gate, whatever the target is called', () => {
  assert.equal(formatKlpRelocationSection('vmlinux', '.text'), '.klp.rela.vmlinux..text');
  assert.equal(parseKlpRelocationSection('.klp.rela.nf_tables.__jump_table'), 'nf_tables');
  assert.equal(parseKlpRelocationSection('.rela.text'), undefined);
  assert.equal(parseKlpRelocationSection('.klp.rela.vmlinux'), undefined);
});
