/** One thing changed in a real unit of the kernel: whatever it is, the answer is never that nothing differs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF, SHT, STT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol, Section } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { readRelocations } from '@kstitch/elf/relocations';
import { compiledUnits } from '@kstitch/testkit/kit';
import { mulberry32 } from '@kstitch/testkit/random';
import { sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffObjects } from './diff-objects.ts';
import { guessSizesOf } from './object-tables.ts';
import { readUnit } from './unit/read-unit.ts';

/** Of each kind, in each unit. */
const mutants = 25;
const units = (await compiledUnits(6, sectionFlags)).map(path => ({
  name: basename(path),
  bytes: readFileSync(path),
}));

interface Place {
  /** In the file. */
  readonly at: number;
  /** The function or object that it is in. */
  readonly name: string;
  /** What the differ may call it: all its names, and of a cold part the function's. */
  readonly names: readonly string[];
}

/** @returns what the differ says about the mutant: names of changed functions, and places of findings */
function differences(original: ElfFile, mutant: Uint8Array): readonly string[] {
  const { difference } = diffObjects(original, readElf(mutant, 'mutant'), x86_64);
  return [
    ...difference.changed.flatMap(({ name, newName }) => [name, newName]),
    ...difference.diagnostics.map(({ place }) => place.symbol ?? ''),
  ];
}

function relocationsOf(file: ElfFile, home: Section) {
  return file.sections
    .filter(({ sh_type, sh_info }) => sh_type === SHT.RELA && sh_info === home.index)
    .flatMap(table => readRelocations(file, table).map((relocation, i) => ({ table, i, ...relocation })));
}

function namesOf(file: ElfFile, { section, st_value, name }: ElfSymbol): readonly string[] {
  const here = file.symbols.filter(
    other => other.section !== undefined && other.section === section && other.st_value === st_value,
  );
  return [name.replace(/\.cold$/, ''), ...here.map(other => other.name)];
}

function* symbolsIn(file: ElfFile, type: number): Iterable<ElfSymbol & { readonly section: Section }> {
  for (const symbol of file.symbols) {
    const { section } = symbol;
    if (symbol.type === type && section !== undefined && section.sh_type !== SHT.NOBITS)
      yield { ...symbol, section };
  }
}

/** Bytes of functions or objects that no relocation writes. */
function plainBytes(file: ElfFile, type: number): readonly Place[] {
  return [...symbolsIn(file, type)].flatMap(symbol => {
    const { name, section, st_value, st_size } = symbol;
    const names = namesOf(file, symbol);
    const covered = new Set(
      relocationsOf(file, section).flatMap(({ r_offset, r_type }) =>
        Array.from({ length: x86_64.relocation(r_type)?.size ?? 8 }, (_, i) => r_offset + i),
      ),
    );
    return Array.from({ length: Number(st_size) }, (_, i) => Number(st_value) + i)
      .filter(offset => !covered.has(offset))
      .map(offset => ({ at: section.sh_offset + offset, name, names }));
  });
}

function draw<T>(list: readonly T[], random: () => number): readonly T[] {
  return Array.from({ length: Math.min(mutants, list.length) }, () => {
    const one = list[Math.floor(random() * list.length)];
    assert.ok(one !== undefined);
    return one;
  });
}

for (const { name: unit, bytes } of units) {
  const file = readElf(bytes, unit);

  test(`${unit}: a byte of code`, () => {
    const random = mulberry32(1);
    for (const { at, name, names } of draw(plainBytes(file, STT.FUNC), random)) {
      const mutant = new Uint8Array(bytes);
      mutant[at]! ^= 1 << Math.floor(random() * 8);
      const found = differences(file, mutant);
      assert.ok(
        names.some(each => found.includes(each)),
        `byte ${at} of ${name}()`,
      );
    }
  });

  test(`${unit}: a relocation of code`, () => {
    const random = mulberry32(2);
    const externals = file.symbols.filter(({ name, st_shndx }) => name !== '' && st_shndx === 0);
    const all = [...symbolsIn(file, STT.FUNC)].flatMap(symbol =>
      relocationsOf(file, symbol.section)
        .filter(({ r_offset }) => r_offset >= symbol.st_value && r_offset < symbol.st_value + symbol.st_size)
        .map(relocation => ({ name: symbol.name, names: namesOf(file, symbol), relocation })),
    );
    for (const { name, names, relocation } of draw(all, random)) {
      const { table, i, r_sym, r_addend } = relocation;
      const entry = table.sh_offset + i * 24;
      const mutant = new Uint8Array(bytes);
      const view = new DataView(mutant.buffer);
      const other = externals[Math.floor(random() * externals.length)];
      // r_info has the symbol in its upper half; r_addend is behind it.
      if (file.symbols[r_sym]?.st_shndx === 0 && other !== undefined && other.index !== r_sym)
        view.setUint32(entry + 12, other.index, true);
      else view.setBigInt64(entry + 16, r_addend + 1n, true);
      const found = differencesOrDamage(file, mutant);
      assert.ok(
        found === 'damaged' || names.some(each => found.includes(each)),
        `relocation ${i} of '${table.name}', in ${name}()`,
      );
    }
  });

  test(`${unit}: a byte of data`, () => {
    const random = mulberry32(3);
    // What the compiler makes for one function is part of it, and shows there, or nobody reads it; notes are no data of the
    // running kernel.
    const { specialStatics } = readUnit(file, unit, x86_64, guessSizesOf([file]).sizes);
    const special = new Set([...specialStatics].map(({ name }) => name));
    const all = plainBytes(file, STT.OBJECT).filter(
      ({ name }) => !/^_note_\d+$/.test(name) && !special.has(name),
    );
    for (const { at, name } of draw(all, random)) {
      const mutant = new Uint8Array(bytes);
      mutant[at]! ^= 1 << Math.floor(random() * 8);
      assert.notDeepEqual(differencesOrDamage(file, mutant), [], `byte ${at}, in '${name}'`);
    }
  });

  test(`${unit}: a relocation of data or of a table`, () => {
    const random = mulberry32(4);
    // Sections that no part of the running kernel is made of: kept by the compiler, or for objtool and modpost only.
    const all = file.sections
      .filter(
        ({ sh_flags, name }) =>
          hasFlag(sh_flags, SHF.ALLOC) && !hasFlag(sh_flags, SHF.EXECINSTR) && !aside.test(name),
      )
      .flatMap(home => relocationsOf(file, home).map(relocation => ({ home, relocation })));
    for (const { home, relocation } of draw(all, random)) {
      const mutant = new Uint8Array(bytes);
      const entry = relocation.table.sh_offset + relocation.i * 24;
      new DataView(mutant.buffer).setBigInt64(entry + 16, relocation.r_addend + 1n, true);
      const place = `relocation of '${home.name}' at ${relocation.r_offset}`;
      assert.notDeepEqual(differencesOrDamage(file, mutant), [], place);
    }
  });
}

const aside =
  /^(?:\.note|__patchable_function_entries$|__mcount_loc$|\.eh_frame$|\.printk_index$|\.discard\.)/;

/** A table whose entries no longer fit is damage, and said to be so. */
function differencesOrDamage(file: ElfFile, mutant: Uint8Array): readonly string[] | 'damaged' {
  try {
    return differences(file, mutant);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'unit-malformed') return 'damaged';
    throw error;
  }
}
