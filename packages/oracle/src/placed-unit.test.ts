import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { lookUp } from './kernel-symbols.ts';
import { placeUnit } from './placed-unit.ts';
import { shippedModule } from './shipped.ts';
import { compiled, linked, objectOf, partNamed, sideOf } from './test-units.ts';

const skip = missingCompiler;

/** Two units with a helper and a counter of one name each; the helpers are the same, and so are the counters. */
const unit = (name: string) => `
  static int count = 1;
  __attribute__((noipa)) static int helper(int *p) { return *p; }
  int ${name}(void) { count += helper(&count); return count; }`;

test('placeUnit() finds out which of several symbols of one name the shipped code means', {
  skip,
}, async () => {
  const shipped = shippedModule(
    'module',
    await objectOf(
      linked(compiled(unit('first'), { whole: true }), compiled(unit('second'), { whole: true })),
    ),
  );
  for (const [name, sympos] of [
    ['first', 1],
    ['second', 2],
  ] as const) {
    const side = await sideOf(compiled(unit(name)));
    const placed = placeUnit(side.unit, side.tables, shipped);
    for (const shared of ['helper', 'count']) {
      const found = lookUp(shipped, shared, sympos);
      assert.ok('address' in found);
      assert.equal(placed.addressOf(partNamed(side, shared)), found.address, `${shared} of ${name}()`);
    }
  }
});

test('placeUnit() says nothing where the shipped code is another', { skip }, async () => {
  const shipped = shippedModule('module', await objectOf(compiled(unit('first'), { whole: true })));
  const side = await sideOf(
    compiled(unit('first').replace('*p;', '*p + 1;').replace('return count;', 'return 7;')),
  );
  const placed = placeUnit(side.unit, side.tables, shipped);
  for (const name of ['first', 'helper', 'count'])
    assert.equal(placed.addressOf(partNamed(side, name)), undefined);
});
