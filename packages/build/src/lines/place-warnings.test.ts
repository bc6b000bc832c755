import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnostic } from '@kstitch/report/diagnostic';
import { placeWarnings } from './place-warnings.ts';

type Units = Parameters<typeof placeWarnings>[1];

/** As far as the function looks. */
function unit(
  source: string,
  names: readonly string[],
  renamed: readonly (readonly [string, string])[] = [],
) {
  const atom = (name: string) => ({ name, kind: 'function' });
  return {
    command: { source },
    object: 'vmlinux',
    difference: {
      selection: {
        atoms: names.map(atom),
        patched: renamed.map(([oldName, name]) => ({ oldName, atom: atom(name) })),
      },
    },
  };
}

const units = [
  unit('a.c', ['f', 'twin', 'g.isra.1'], [['g.isra.0', 'g.isra.1']]),
  unit('b.c', ['h.cold', 'twin']),
] as unknown as Units;

function placeOf(said: string) {
  const finding = diagnostic('objtool-warning', { object: 'm' }, `objtool warns about 'm': ${said}`);
  return placeWarnings([finding], units)[0]?.place;
}

test('placeWarnings() finds the unit that a function was linked from', () => {
  const object = 'vmlinux';
  const f = { object, unit: 'a.c', symbol: 'f' };
  assert.deepEqual(placeOf('f()+0x1c: unreachable instruction'), { ...f, offset: 0x1c });
  assert.deepEqual(placeOf('f+0x1c: unreachable instruction'), { ...f, offset: 0x1c });
  assert.deepEqual(placeOf('f() falls through to next function g()'), f);
  assert.deepEqual(placeOf('.text.f: unexpected end of section'), f);
  assert.deepEqual(placeOf('h.cold()+0x2: stack state mismatch: cfa1=4+8 cfa2=5+16'), {
    object,
    unit: 'b.c',
    symbol: 'h.cold',
    offset: 2,
  });
  // In the linked object it has the name that the running kernel has.
  assert.deepEqual(placeOf('g.isra.0()+0x3: return with modified stack frame'), {
    object,
    unit: 'a.c',
    symbol: 'g.isra.1',
    offset: 3,
  });
});

test('placeWarnings() leaves alone what two units or none may have', () => {
  for (const said of ['twin()+0x1: x', 'elsewhere()+0x1: x', "can't find starting instruction"])
    assert.deepEqual(placeOf(said), { object: 'm' });
});
