import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TypeChange } from '@kstitch/diff/layout/compare-layouts';
import { checkAccepted, checkTypes } from './check-types.ts';
import { parseUnitCommand } from './compile/unit-command.ts';

const unit = (source: string, ...typeChanges: TypeChange[]) => ({
  command: parseUnitCommand({
    object: `${source}.o`,
    modules: [],
    command: `gcc-12 -c -o ${source}.o ${source}`,
  }),
  typeChanges,
});

const change = (code: TypeChange['code'], name: string): TypeChange => ({
  code,
  name,
  text: `the patch changes '${name}'`,
  notes: [],
});
const layout = change('struct-layout-changed', 's');
const hole = change('struct-hole-used', 'h');
const value = change('enum-value-changed', 'V');

const found = (accepted: readonly string[], ...units: ReturnType<typeof unit>[]) =>
  checkTypes(units, accepted).map(({ code, severity, place, notes }) => [
    code,
    severity,
    place.unit,
    ...notes,
  ]);

test('what several units know is said once', () => {
  assert.deepEqual(found([], unit('a.c', layout, hole), unit('b.c', layout), unit('c.c', value, layout)), [
    ['struct-layout-changed', 'refusal', 'a.c', 'the same in 2 more units'],
    ['struct-hole-used', 'caution', 'a.c'],
    ['enum-value-changed', 'refusal', 'c.c'],
  ]);
});

test('what the author answers for is a caution, by its name alone', () => {
  assert.deepEqual(found(['struct s'], unit('a.c', layout, value)), [
    ['layout-accepted', 'caution', 'a.c'],
    ['enum-value-changed', 'refusal', 'a.c'],
  ]);
  assert.deepEqual(found(['V', 'h'], unit('a.c', hole, value)), [
    ['struct-hole-used', 'caution', 'a.c'],
    ['layout-accepted', 'caution', 'a.c'],
  ]);
});

test('an acceptance needs a change', () => {
  checkAccepted([layout, value], ['struct s', 'V']);
  assert.throws(() => checkAccepted([layout, hole], ['s', 'h']), {
    code: 'layout-not-changed',
    message: "--accept-layout names 'h', which the patch does not change",
  });
});
