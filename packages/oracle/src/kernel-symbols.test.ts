import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMadeForOnePlace, parentOfColdPart, unnumbered } from './compiler-names.ts';
import { gateOfList, lookUp, parseExports, parseKlpSymbol } from './kernel-symbols.ts';
import type { Shipped } from './shipped.ts';

test('parseKlpSymbol() reads what livepatch reads and nothing else', () => {
  assert.deepEqual(parseKlpSymbol('.klp.sym.vmlinux.foo.isra.0,2'), {
    object: 'vmlinux',
    name: 'foo.isra.0',
    sympos: 2,
  });
  for (const name of [
    'foo',
    '.klp.sym.vmlinux',
    '.klp.sym.vmlinux.foo',
    '.klp.sym.vmlinux.foo,',
    '.klp.sym..foo,1',
  ])
    assert.equal(parseKlpSymbol(name), undefined, name);
});

test('gateOfList() tells lists of livepatch from ordinary ones', () => {
  assert.equal(gateOfList('.klp.rela.ext4..text.f'), 'ext4');
  assert.equal(gateOfList('.rela.text.f'), undefined);
  assert.equal(gateOfList('.klp.rela.ext4'), '');
});

test('lookUp() counts symbols from 1 and takes 0 for the only one', () => {
  const symbols = new Map([
    ['one', [{ address: 5n, isGlobal: true }]],
    [
      'two',
      [
        { address: 7n, isGlobal: false },
        { address: 9n, isGlobal: false },
      ],
    ],
  ]);
  const shipped = { name: 'vmlinux', named: (name: string) => symbols.get(name) ?? [] } as unknown as Shipped;
  assert.deepEqual(lookUp(shipped, 'one', 0), { address: 5n, candidates: 1 });
  assert.deepEqual(lookUp(shipped, 'one', 1), { address: 5n, candidates: 1 });
  assert.deepEqual(lookUp(shipped, 'two', 2), { address: 9n, candidates: 2 });
  for (const [name, sympos] of [
    ['one', 2],
    ['two', 0],
    ['two', 3],
    ['none', 0],
  ] as const)
    assert.ok('problem' in lookUp(shipped, name, sympos), `${name},${sympos}`);
});

test('parseExports() names the exporting object as /proc/modules does', () => {
  const exports = parseExports(
    '0x1\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x2\tx\tdrivers/net/usb-net\tEXPORT_SYMBOL_GPL\tNS\n',
  );
  assert.deepEqual(
    [...exports],
    [
      ['printk', 'vmlinux'],
      ['x', 'usb_net'],
    ],
  );
});

test('unnumbered() takes numbers away and leaves what the compiler did', () => {
  assert.equal(unnumbered('foo.isra.0.cold'), 'foo.isra.cold');
  assert.equal(unnumbered('count.12'), 'count');
  assert.equal(unnumbered('__UNIQUE_ID_ddebug512.3'), '__UNIQUE_ID_ddebug');
  assert.equal(unnumbered('md5'), 'md5');
});

test('parentOfColdPart() and isMadeForOnePlace() want the compiler’s form of a name', () => {
  assert.equal(parentOfColdPart('foo.part.0.cold'), 'foo.part.0');
  assert.equal(parentOfColdPart('cold'), undefined);
  assert.ok(isMadeForOnePlace('__already_done.4') && isMadeForOnePlace('_rs.0'));
  assert.ok(!isMadeForOnePlace('_rs') && !isMadeForOnePlace('count.3'));
});
