/**
 * What the code of a function looks like where neither the assembler nor objtool has a say in it: every branch to another
 * function is a reference, relocation fields and sites that the kernel's tools rewrite are blank.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { isJumpLabelNop, jumpLabelSites } from './run-pre/jump-label-sites.ts';
import type { Atom, Reference, Target, Unit } from './unit/atom.ts';
import { distanceAt, findLocalBranches } from './unit/local-branches.ts';

export interface CodeView {
  readonly bytes: Uint8Array;
  /** In ascending order of their offsets; `type` is comparable among views only. */
  readonly references: readonly Reference[];
}

export class CodeViews {
  readonly #unit: Unit;
  readonly #arch: Architecture;
  #functions: (Atom[] | undefined)[] | undefined;

  constructor(unit: Unit, arch: Architecture) {
    this.#unit = unit;
    this.#arch = arch;
  }

  /** @returns the functions of the section that a function lies in, itself among them, by offset */
  neighbours(atom: Atom): readonly Atom[] {
    this.#functions ??= functionsBySection(this.#unit);
    return this.#functions[atom.section.index] ?? [];
  }

  view(atom: Atom): CodeView {
    const bytes = new Uint8Array(atom.bytes);
    const references: Reference[] = [];
    for (const reference of atom.references) {
      const kind = this.#arch.relocation(reference.type);
      if (kind?.size === 0) {
        // What was a call is a NOP, and will be a call again when somebody traces.
        const { offset, target } = reference;
        if (!isTracingCall(target) || !mayHaveBeenCall(bytes, offset - 1)) continue;
        bytes.set(call, offset - 1);
        references.push({
          offset,
          type: callType,
          bias: 4,
          target: { ...target, offset: target.offset + 4 },
        });
        continue;
      }
      // How long the field of an unknown type is nobody knows: one byte for R_X86_64_PC8.
      bytes.fill(0, reference.offset, reference.offset + (kind?.size ?? 0));
      // R_X86_64_PC32 and R_X86_64_PLT32 are one, for code that is not shared.
      const type =
        kind === undefined ? -reference.type : comparableType(kind.size, kind.pcRelative, kind.signed);
      references.push({ ...reference, type });
    }
    const kept = this.#blankJumpLabels(atom, bytes, references);
    this.#addLocalBranches(atom, bytes, kept);
    return { bytes, references: kept.sort((a, b) => a.offset - b.offset) };
  }

  /** A site is the same with its jump as with a NOP, as long as the jump leads where the table says. */
  #blankJumpLabels(atom: Atom, bytes: Uint8Array, references: Reference[]): Reference[] {
    const sites = jumpLabelSites(atom);
    if (sites.size === 0) return references;
    const targets = new Map(
      atom.entries.flatMap(({ section, ownerOffset, references: [, target] }) =>
        section.name === '__jump_table' && target !== undefined
          ? [[ownerOffset, target.target] as const]
          : [],
      ),
    );
    const blank = new Set<Reference>();
    for (const { offset, length } of sites.values()) {
      const own = references.find(
        reference => reference.offset > offset && reference.offset < offset + length,
      );
      if (!isJumpLabelNop(bytes, offset, length)) {
        const leads = own?.target ?? jumpTarget(atom, bytes, offset, length);
        const target = targets.get(offset);
        if (leads === undefined || target === undefined || !isOnePlace(leads, target)) continue;
      }
      bytes.fill(0, offset, offset + length);
      if (own !== undefined) blank.add(own);
    }
    return references.filter(reference => !blank.has(reference));
  }

  #addLocalBranches(atom: Atom, bytes: Uint8Array, references: Reference[]): void {
    const relocated = new Set(references.map(reference => reference.offset));
    const isRelocated = (field: number) => relocated.has(field);
    for (const branch of findLocalBranches(atom, this.neighbours(atom), this.#arch, isRelocated)) {
      const { field, width, to, offset } = branch;
      bytes.fill(0, field, field + width);
      references.push({
        offset: field,
        type: comparableType(width, true, true),
        bias: width,
        target: { kind: 'atom', atom: to, offset },
      });
    }
  }
}

function functionsBySection(unit: Unit): (Atom[] | undefined)[] {
  const bySection: (Atom[] | undefined)[] = [];
  for (const atom of unit.atoms) {
    if (atom.kind !== 'function') continue;
    const list = bySection[atom.section.index];
    if (list === undefined) bySection[atom.section.index] = [atom];
    else list.push(atom);
  }
  return bySection;
}

function comparableType(size: number, pcRelative: boolean, signed: boolean): number {
  return size * 4 + (pcRelative ? 2 : 0) + (signed ? 1 : 0);
}

const call = [0xe8, 0, 0, 0, 0];
const callType = comparableType(4, true, true);

/** Calls that objtool and recordmcount take out: those of ftrace, and those of kcov where nothing may be instrumented. */
function isTracingCall(target: Target): boolean {
  return target.kind === 'external' && /^(__fentry__|mcount|__sanitizer_cov_\w+)$/.test(target.name);
}

function mayHaveBeenCall(bytes: Uint8Array, offset: number): boolean {
  if (offset < 0) return false;
  return isJumpLabelNop(bytes, offset, 5) || call.every((byte, i) => bytes[offset + i] === byte);
}

/** Where a jump that the assembler resolved leads. */
function jumpTarget(atom: Atom, bytes: Uint8Array, offset: number, length: 2 | 5): Target | undefined {
  if (bytes[offset] !== (length === 2 ? 0xeb : 0xe9)) return undefined;
  const distance = distanceAt(bytes, offset + length, length === 2 ? 1 : 4);
  return distance === undefined ? undefined : { kind: 'atom', atom, offset: offset + length + distance };
}

function isOnePlace(a: Target, b: Target): boolean {
  if (a.kind === 'external' || b.kind === 'external')
    return a.kind === b.kind && a.offset === b.offset && 'name' in a && 'name' in b && a.name === b.name;
  return a.atom.section === b.atom.section && a.atom.offset + a.offset === b.atom.offset + b.offset;
}
