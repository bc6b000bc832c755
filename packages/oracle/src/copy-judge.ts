/** Holds parts of a module against what the compiler made: byte by byte, relocation by relocation. */
import { type BootConstant, type VariableRead, variableRead } from './boot-constants.ts';
import { type Findings, hex } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import type { Spot } from './klp-arrays.ts';
import type { ObjectText, TextRelocation, TextSection } from './object-text.ts';
import { spotKey } from './pairing.ts';
import type { Nameless, ReferenceJudge } from './reference-judge.ts';
import {
  type BranchSite,
  branchNop,
  meaningInEntry,
  type OwnedEntry,
  type TableName,
} from './special-tables.ts';

/** Bytes of a unit and the bytes of the module that should be a copy of them. */
export interface Copy {
  readonly unit: JudgedUnit;
  readonly from: { readonly section: TextSection; readonly start: number; readonly size: number };
  readonly to: Spot;
  /** How findings call it; offsets count from `origin` bytes behind the start. */
  readonly name: string;
  readonly origin: number;
  /** Static branches, by offset from the start. */
  readonly sites: ReadonlyMap<number, BranchSite>;
  /** Static branches that became NOPs although objtool was not to make them so. */
  readonly silenced: ReadonlySet<OwnedEntry>;
  /** Numbers that vmlinux is given at boot, their places counted from the start. */
  readonly constants: readonly BootConstant[];
  readonly table?: TableName;
}

/** Of a copy that is no function. */
export const plainCopy = {
  origin: 0,
  sites: new Map<number, BranchSite>(),
  silenced: new Set<OwnedEntry>(),
  constants: [],
} as const;

export class CopyJudge {
  /** Relocations of the module that something was said about. */
  readonly accounted = new Set<TextRelocation>();
  readonly #module: ObjectText;
  readonly #references: ReferenceJudge;
  readonly #findings: Findings;
  readonly #compared = new Set<string>();

  constructor(module: ObjectText, references: ReferenceJudge, findings: Findings) {
    this.#module = module;
    this.#references = references;
    this.#findings = findings;
  }

  judge(copy: Copy): void {
    const { unit, from, to, name, origin } = copy;
    const there = this.#module.bytes(this.#module.section(to.section), to.position, from.size);
    const wanted = Buffer.from(unit.after.unit.object.bytes(from.section, from.start, from.size));
    const nops: { readonly start: number; readonly end: number }[] = [];
    for (const [at, { length, becomesNop, entry }] of copy.sites) {
      if (!becomesNop && !copy.silenced.has(entry)) continue;
      branchNop(length).copy(wanted, at);
      nops.push({ start: at, end: at + length });
    }
    const reads = this.#variableReads(copy, wanted);
    for (const { start, bytes } of reads) bytes.copy(wanted, start);
    if (!there.equals(wanted)) {
      const at = wanted.findIndex((byte, i) => byte !== there[i]);
      this.#findings.add(
        unit,
        name,
        at - origin,
        `the byte at ${name}+${hex(at - origin)} is ${byteAt(there, at)}, and was compiled as ${byteAt(wanted, at)}`,
      );
    }

    const ours = unit.after.unit.object
      .relocationsIn(from.section.index, from.start, from.size)
      .filter(
        ({ offset }) =>
          !nops.some(({ start, end }) => offset - from.start >= start && offset - from.start < end),
      );
    const open = new Map<number, TextRelocation[]>();
    for (const relocation of this.#module.relocationsIn(to.section, to.position, from.size)) {
      this.accounted.add(relocation);
      if (relocation.type === 'R_X86_64_NONE') continue;
      const offset = relocation.offset - to.position;
      const same = open.get(offset);
      if (same === undefined) open.set(offset, [relocation]);
      else same.push(relocation);
    }
    const take = (offset: number, judge: (theirs: TextRelocation | undefined) => string | undefined) => {
      const [theirs, second] = open.get(offset) ?? [];
      open.delete(offset);
      const problem = second === undefined ? judge(theirs) : 'is in two lists';
      if (problem !== undefined)
        this.#findings.add(
          unit,
          name,
          offset - origin,
          `the relocation at ${name}+${hex(offset - origin)} ${problem}`,
        );
    };
    for (const relocation of ours)
      take(relocation.offset - from.start, theirs => this.#judgeRelocation(copy, relocation, theirs));
    for (const read of reads) take(read.field, theirs => this.#judgeVariable(copy, read, theirs));
    for (const offset of open.keys())
      this.#findings.add(
        unit,
        name,
        offset - origin,
        `the module has a relocation at ${name}+${hex(offset - origin)}, and the compiled unit has none`,
      );
  }

  /** A module has no number of its own at boot: its code reads the variable, or must not be there. */
  #variableReads({ unit, name, origin, constants }: Copy, code: Buffer): readonly VariableRead[] {
    return constants.flatMap(constant => {
      const read = variableRead(constant, code, constant.at);
      if (read !== undefined) return [read];
      const text = `${name}+${hex(constant.at - origin)} is the constant '${constant.name}', which only vmlinux is given at boot`;
      this.#findings.add(unit, name, constant.at - origin, text);
      return [];
    });
  }

  #judgeVariable(
    { unit }: Copy,
    { name }: VariableRead,
    theirs: TextRelocation | undefined,
  ): string | undefined {
    if (theirs === undefined) return 'is missing';
    if (theirs.type !== 'R_X86_64_PC32') return `is ${theirs.type}, and a variable is read there`;
    return this.#references.judge({
      unit,
      isCode: false,
      sameNameless: () => {},
      meaning: { kind: 'external', name, offset: 0 },
      distance: 4,
      relocation: theirs,
    });
  }

  #judgeRelocation(copy: Copy, ours: TextRelocation, theirs: TextRelocation | undefined): string | undefined {
    const { unit, from } = copy;
    if (theirs === undefined) return 'is missing';
    if (theirs.type !== ours.type) return `is ${theirs.type}, and was compiled as ${ours.type}`;
    const parts = unit.after.unit;
    return this.#references.judge({
      unit,
      isCode: copy.table !== undefined || isBranchField(parts.object, from.section, ours.offset),
      sameNameless: (nameless, spot) => this.#judgeNameless(unit, nameless, spot),
      meaning: meaningInEntry(parts, copy.table, from, ours),
      distance: parts.distance(from.section, ours),
      relocation: theirs,
    });
  }

  #judgeNameless(unit: JudgedUnit, { section, start, size }: Nameless, to: Spot): void {
    const key = `${unit.question.linkedAs} ${section.index} ${start} ${size} ${spotKey(to)}`;
    if (this.#compared.has(key)) return;
    this.#compared.add(key);
    this.judge({ ...plainCopy, unit, from: { section, start, size }, to, name: section.name });
  }
}

function byteAt(bytes: Buffer, at: number): string {
  const byte = bytes[at];
  return byte === undefined ? 'missing' : `0x${byte.toString(16).padStart(2, '0')}`;
}

/** @returns whether the field is the target of a call (e8), a jump (e9) or a conditional jump (0f 80 to 0f 8f) */
export function isBranchField(object: ObjectText, section: TextSection, offset: number): boolean {
  if (!section.flags.includes('X')) return false;
  const [first = 0, second = 0] = object.bytes(section, offset - 2, 2);
  const [only = 0] = object.bytes(section, offset - 1, 1);
  return only === 0xe8 || only === 0xe9 || (first === 0x0f && second >= 0x80 && second <= 0x8f);
}
