import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, linkSmallKernel, sectionFlags } from '@kstitch/testkit/small-kernel';
import { detach } from './detach.ts';
import { diffUnit } from './diff-unit.ts';
import { extract } from './extract.ts';
import { LinkNames } from './link-names.ts';
import type { Selection } from './select/selection.ts';

const cases = new URL('./cases/', import.meta.url);

function readCase(name: string, file: string): string {
  const url = new URL(`${name}/${file}`, cases);
  return existsSync(url) ? readFileSync(url, 'utf8') : '';
}

function selectionOf(name: string): Selection {
  const shipped = linkSmallKernel(readCase(name, 'before.c'), [readCase(name, 'rest.c')]);
  const compile = (file: string, flags: readonly string[]) =>
    readElf(compileC(readCase(name, file), [...kernelFlags, ...flags]), 'unit.c');
  const unit = {
    name: 'unit.c',
    asShipped: compile('before.c', []),
    before: compile('before.c', sectionFlags),
    after: compile('after.c', sectionFlags),
  };
  const symbols = { shipped, vmlinux: shipped, exporterOf: () => undefined };
  return diffUnit(unit, symbols, x86_64, entrySizes).selection;
}

function objectOf(selection: Selection): Uint8Array {
  return extract(selection, {
    gate: 'vmlinux',
    linkNames: new LinkNames(() => false),
    aliasOf: atom => `kstitch_new_${atom.name}`,
    staticCallKey: () => undefined,
  }).object;
}

for (const name of [
  'new-function-and-data',
  'exception-entry',
  'alternative',
  'cold-part',
  'message-changed',
  'runtime-constant-read',
]) {
  test(`a detached selection gives the same object: ${name}`, { skip: missingCompiler }, () => {
    assert.ok(readdirSync(cases).includes(name));
    const selection = selectionOf(name);
    const detached = detach(selection);
    assert.ok(selection.atoms.length > 0);
    assert.equal(Buffer.compare(objectOf(detached), objectOf(selection)), 0);
    assert.deepEqual(detached.unloadHazards, selection.unloadHazards);
  });
}

test('a detached selection holds no byte of the objects but those it selects', {
  skip: missingCompiler,
}, () => {
  const { atoms, unit, entriesOf } = detach(selectionOf('alternative'));
  assert.equal(unit.atoms, atoms);
  for (const atom of atoms) {
    assert.equal(atom.bytes.buffer.byteLength, atom.size);
    assert.equal(atom.section.bytes.length, 0);
    assert.equal(atom.symbol?.section?.bytes.length ?? 0, 0);
    for (const entry of entriesOf(atom)) assert.equal(entry.bytes.buffer.byteLength, entry.bytes.length);
    for (const { target } of atom.references) {
      if (target.kind === 'atom' && !atoms.includes(target.atom)) assert.equal(target.atom.bytes.length, 0);
    }
  }
});

test('a detached selection lets go of the unit that it was made from', {
  skip: missingCompiler,
}, async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const make = () => {
    const selection = selectionOf('alternative');
    return { detached: detach(selection), unit: new WeakRef(selection.unit) };
  };
  const { detached, unit } = make();
  // A weak reference holds on to what it refers to until the job that made it has ended.
  await setImmediate();
  collectGarbage();
  assert.equal(unit.deref(), undefined);
  assert.ok(detached.atoms.length > 0);
});
