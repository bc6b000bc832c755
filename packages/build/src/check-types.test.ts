import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TypeChange } from '@kstitch/diff/layout/compare-layouts';
import { type Accepted, acceptedLayouts, checkAccepted, checkTypes } from './check-types.ts';
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

const onlyNames = (names: readonly string[]): Accepted => ({ names, earlier: [] });

const found = (accepted: readonly string[], ...units: ReturnType<typeof unit>[]) =>
  checkTypes(units, onlyNames(accepted)).map(({ code, severity, place, notes }) => [
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

test('what an earlier livepatch was accepted for holds for that very change, and is handed on', () => {
  const earlier = acceptedLayouts([hole, layout, layout, value], onlyNames(['struct s', 'h']));
  assert.deepEqual(earlier, [{ name: 's', change: "the patch changes 's'" }]);
  const codes = (one: TypeChange) =>
    checkTypes([unit('a.c', one)], { names: [], earlier }).map(({ code }) => code);
  assert.deepEqual(codes(layout), ['layout-accepted']);
  assert.deepEqual(acceptedLayouts([layout], { names: [], earlier }), earlier);
  assert.deepEqual(codes({ ...layout, notes: ['its size from 4 to 8 bytes'] }), ['struct-layout-changed']);
});

test('a struct of one .c file is refused with what can be done', () => {
  const notes = (...files: { readonly path: string; readonly before: string }[]) =>
    checkTypes([unit('a.c', layout)], onlyNames([]), files).flatMap(finding => finding.notes);
  const definition = 'struct s {\n\tint a;\n};\n';
  assert.match(
    notes({ path: 'a.c', before: definition })[0] ?? '',
    /^it is defined in 'a\.c' alone.*--accept-layout s;/,
  );
  assert.deepEqual(notes({ path: 'include/a.h', before: definition }), []);
  assert.deepEqual(notes({ path: 'a.c', before: 'struct s *p;' }), []);
});

test('an acceptance needs a change', () => {
  checkAccepted([layout, value], ['struct s', 'V']);
  assert.throws(() => checkAccepted([layout, hole], ['s', 'h']), {
    code: 'layout-not-changed',
    message: "--accept-layout names 'h', which the patch does not change",
  });
});
