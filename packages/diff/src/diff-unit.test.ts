import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { Refusal } from '@kstitch/report/diagnostic';
import { compileC } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, linkSmallKernel, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffUnit, type UnitDifference } from './diff-unit.ts';
import { type Extraction, extract } from './extract.ts';
import { LinkNames } from './link-names.ts';
import { ShippedModule } from './run-pre/shipped-module.ts';
import { baseName } from './unit/names.ts';

/** What a case folder's expect.json may say; every key that is there is checked. */
interface Expectation {
  readonly refused?: string;
  /** `name,sympos`, in unit order. */
  readonly patched?: readonly string[];
  /** Names of selected functions and objects, in unit order. */
  readonly selected?: readonly string[];
  readonly selectedBase?: readonly string[];
  readonly reasons?: readonly string[];
  /** `kind: function`. */
  readonly callbacks?: readonly string[];
  /** `id: version`, in the order of the records. */
  readonly states?: readonly string[];
  /** `name,sympos`, in order of first use. */
  readonly klp?: readonly string[];
  readonly klpBase?: readonly string[];
  /** Where they are looked up, in order of first use. */
  readonly objects?: readonly string[];
  /** What they are called until post-link, in order of first use. */
  readonly links?: readonly string[];
  readonly exports?: readonly string[];
  readonly carried?: Readonly<Record<string, number>>;
  /** How many things speak against unloading; 0 when left out. */
  readonly hazards?: number;
  /** Codes of cautions, in order. */
  readonly cautions?: readonly string[];
  /** The unit is the module 'unit', and the kernel is the rest. */
  readonly module?: boolean;
  readonly note?: string;
}

const exported = new Set(['__fentry__', '__x86_return_thunk', 'exported_call', 'exported_printk']);
const cases = new URL('./cases/', import.meta.url);

for (const name of readdirSync(cases).sort()) {
  const read = (file: string): string => {
    const url = new URL(`${name}/${file}`, cases);
    return existsSync(url) ? readFileSync(url, 'utf8') : '';
  };
  test(`diffUnit() case ${name}`, () => {
    const expected = JSON.parse(read('expect.json')) as Expectation;
    const isModule = expected.module === true;
    const run = () =>
      diffCase(read('before.c'), read('after.c'), [read('rest.c'), read('rest2.c')], isModule);
    if (expected.refused !== undefined) {
      assert.throws(run, (error: unknown) => error instanceof Refusal && error.code === expected.refused);
      return;
    }
    const { selection, diagnostics } = run();
    if (expected.cautions)
      assert.deepEqual(
        diagnostics.map(d => d.code),
        expected.cautions,
      );
    const linkNames = new LinkNames(name => exported.has(name));
    const extraction = extract(selection, {
      gate: isModule ? 'unit' : 'vmlinux',
      linkNames,
      aliasOf: atom => `kstitch_new_${atom.id}`,
      staticCallKey: () => undefined,
    });
    checkPatched(selection, expected);
    checkExtraction(extraction, linkNames, expected);
    const aliased = [...selection.patched, ...selection.callbacks].map(
      ({ atom }) => `kstitch_new_${atom.id}`,
    );
    const aliases = readElf(extraction.object, 'extracted').symbols.map(symbol => symbol.name);
    assert.deepEqual(
      aliases.filter(alias => alias.startsWith('kstitch_new_')).sort(),
      [...new Set(aliased)].sort(),
      'what the wrapper refers to has an alias',
    );
    assert.equal(selection.unloadHazards.length, expected.hazards ?? 0);
  });
}

function diffCase(before: string, after: string, rest: readonly string[], isModule: boolean): UnitDifference {
  const compile = (source: string, flags: readonly string[]) =>
    readElf(compileC(source, [...kernelFlags, ...flags]), 'unit.c');
  const vmlinux = linkSmallKernel(isModule ? '' : before, rest);
  const shipped = isModule ? new ShippedModule('unit', compile(before, [])) : vmlinux;
  return diffUnit(
    {
      name: 'unit.c',
      asShipped: compile(before, []),
      before: compile(before, sectionFlags),
      after: compile(after, sectionFlags),
    },
    {
      shipped,
      vmlinux,
      exporterOf: name =>
        exported.has(name) ? 'vmlinux' : name.startsWith('other_module_') ? 'other' : undefined,
    },
    x86_64,
    entrySizes,
  );
}

function checkPatched(selection: UnitDifference['selection'], expected: Expectation): void {
  const named = selection.atoms.filter(
    atom => atom.name !== '' && (atom.kind === 'function' || atom.kind === 'object'),
  );
  assert.deepEqual(
    selection.patched.map(f => `${f.oldName},${f.oldSympos}`),
    expected.patched,
  );
  if (expected.selected) assert.deepEqual(named.map(atom => atom.name).sort(), expected.selected.toSorted());
  if (expected.selectedBase) {
    assert.deepEqual(named.map(atom => baseName(atom.name)).sort(), expected.selectedBase.toSorted());
  }
  assert.deepEqual(
    selection.callbacks.map(({ kind, atom }) => `${kind}: ${atom.name}`).toSorted(),
    (expected.callbacks ?? []).toSorted(),
  );
  assert.deepEqual(
    selection.states.map(({ id, version }) => `${id}: ${version}`),
    expected.states ?? [],
  );
  if (expected.reasons)
    assert.deepEqual(
      selection.patched.map(f => f.reason),
      expected.reasons,
    );
}

function checkExtraction(extraction: Extraction, linkNames: LinkNames, expected: Expectation): void {
  const references = linkNames.references();
  if (expected.klp) {
    assert.deepEqual(references.map(r => `${r.name},${r.sympos}`).sort(), expected.klp.toSorted());
  }
  if (expected.klpBase)
    assert.deepEqual(
      references.map(r => baseName(r.name)),
      expected.klpBase,
    );
  if (expected.objects)
    assert.deepEqual(
      references.map(r => r.object),
      expected.objects,
    );
  if (expected.links)
    assert.deepEqual(
      references.map(r => r.linkName),
      expected.links,
    );
  if (expected.exports) assert.deepEqual(extraction.exports, expected.exports);
  if (expected.carried) assert.deepEqual(Object.fromEntries(extraction.carried), expected.carried);
  const file = readElf(extraction.object, 'extracted');
  const undefinedSymbols = file.symbols.filter(symbol => symbol.index > 0 && symbol.st_shndx === 0);
  assert.deepEqual(
    // The wrapper defines the livepatch itself.
    undefinedSymbols
      .map(symbol => symbol.name)
      .filter(name => name !== 'kstitch_patch')
      .sort(),
    [...extraction.exports, ...references.map(r => r.linkName)].sort(),
    'an extracted object leaves nothing undefined but what was decided',
  );
}
