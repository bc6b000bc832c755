/**
 * A compiled unit cut into its functions and objects, and what its relocations mean.
 *
 * A PC-relative field is followed by the rest of its instruction, and the addend is counted from there: `cmpb $1, flag(%rip)`
 * has -5 where `mov flag(%rip), %al` has -4. Where that decides which of several objects of a section is meant, objdump is
 * asked where the instruction ends. It is also asked where functions of one section (`.sched.text`) branch to each other: the
 * assembler knew the distance and left no relocation, and in a livepatch the distance is another.
 */
import { run } from '@kstitch/host/run';
import {
  type ObjectText,
  readObjectText,
  type TextRelocation,
  type TextSection,
  unreadable,
} from './object-text.ts';
import { isRelative } from './relocation-types.ts';

/** A function or an object that has a name. */
export interface Part {
  readonly kind: 'function' | 'object';
  /** The most public of its names, which the kernel's tables list first. */
  readonly name: string;
  readonly names: readonly string[];
  readonly isGlobal: boolean;
  /** Whether one of its names is a local symbol's: what refers to it by that name says the section and an offset. */
  readonly hasLocalName: boolean;
  readonly section: TextSection;
  /** Where the symbol stands in the section. */
  readonly start: number;
  /** From the symbol to the end. */
  readonly size: number;
  /** NOPs before the symbol that belong to a function (-fpatchable-function-entry). */
  readonly lead: number;
}

/** What a relocation means in the source. */
export type Meaning =
  | { readonly kind: 'external'; readonly name: string; readonly offset: number }
  | { readonly kind: 'part'; readonly part: Part; readonly offset: number }
  /** `offset` is where from its beginning the relocation points: `text[i + 1]` has 1. */
  | { readonly kind: 'string'; readonly text: string; readonly offset: number }
  /** Something of no name: a constant, a table, a piece of code; `offset` is where in it the relocation points. */
  | {
      readonly kind: 'nameless';
      readonly section: TextSection;
      readonly start: number;
      readonly size: number;
      readonly offset: number;
    };

/** Bytes before a function that are taken for its patchable padding at most (CONFIG_FUNCTION_PADDING_BYTES is 16). */
const maxLead = 64;
/** Sections that objdump is asked about by name; more, and it is asked about all. */
const maxNamedSections = 1000;
/** `call   1f0 <preempt_schedule_common>`, `cs jmp 20 <schedule>`, `jne,pn 30 <a+0x10>` */
const branchTarget = /:\t(?:[a-z0-9]+ )*(?:call|j[a-z]+)(?:,p[nt])? +([0-9a-f]+) </;
/** Bytes of objdump's output that are read at most. */
const maxObjdumpOutput = 512 * 1024 * 1024;

export class UnitParts {
  readonly object: ObjectText;
  readonly parts: readonly Part[];
  readonly #bySection = new Map<number, readonly Part[]>();
  readonly #byName = new Map<string, Part[]>();
  readonly #cuts = new Map<number, readonly number[]>();
  readonly #instructionEnds: ReadonlyMap<number, readonly number[]>;

  constructor(
    object: ObjectText,
    parts: ReadonlyMap<number, readonly Part[]>,
    instructionEnds: ReadonlyMap<number, readonly number[]>,
  ) {
    this.object = object;
    this.parts = [...parts.values()].flat();
    for (const [section, own] of parts) this.#bySection.set(section, own);
    for (const part of this.parts) {
      for (const name of part.names) {
        const namesakes = this.#byName.get(name);
        if (namesakes === undefined) this.#byName.set(name, [part]);
        else namesakes.push(part);
      }
    }
    this.#instructionEnds = instructionEnds;
    for (const [section, cuts] of this.#findCuts()) this.#cuts.set(section, cuts);
  }

  /** @returns every part that has this among its names */
  named(name: string): readonly Part[] {
    return this.#byName.get(name) ?? [];
  }

  /** @returns the part whose extent covers the place; in a section of one part, that one wherever the place is */
  partAt(section: number, position: number): Part | undefined {
    const parts = this.#bySection.get(section) ?? [];
    const [only] = parts;
    if (parts.length <= 1) return only;
    return parts.findLast(part => part.start - part.lead <= position && position <= part.start + part.size);
  }

  /** The end of a static table, where what follows would be referred to by its own name. */
  #localPartAt(section: number, position: number): Part | undefined {
    const part = this.partAt(section, position);
    if (part?.kind !== 'object' || part.hasLocalName || part.start !== position) return part;
    const ending = this.#bySection
      .get(section)
      ?.find(each => each.hasLocalName && each.size > 0 && each.start + each.size === position);
    return ending ?? part;
  }

  /** @returns bytes from a PC-relative field to where the processor counts from; 0 for other fields */
  distance(section: TextSection, relocation: TextRelocation): number {
    if (!section.flags.includes('X') || !isRelative(relocation.type)) return 0;
    const ends = this.#instructionEnds.get(section.index);
    const end = ends?.find(each => each > relocation.offset);
    // Without an answer from objdump nothing depends on it: both sides are measured alike.
    return end === undefined ? 4 : end - relocation.offset;
  }

  /**
   * @param section - that the relocation's field is in
   * @throws KstitchError - `oracle-unreadable` when it points to nothing
   */
  meaning(section: TextSection, relocation: TextRelocation): Meaning {
    const { symbol } = relocation;
    const offset = relocation.addend + this.distance(section, relocation);
    if (typeof symbol.place !== 'number') return { kind: 'external', name: symbol.name, offset };
    const target = this.object.section(symbol.place);
    const position = symbol.value + offset;
    if (target.flags.includes('M')) {
      // Where it leads elsewhere than to the beginning, the assembler leaves the name of what is meant.
      const within = symbol.type === 'SECTION' ? position : symbol.value;
      if (target.flags.includes('S'))
        return { kind: 'string', text: this.#string(target, within), offset: position - within };
      const size = target.entrySize || target.size;
      const start = within - (within % size);
      return { kind: 'nameless', section: target, start, size, offset: position - start };
    }
    if (symbol.type !== 'SECTION') {
      const part = this.named(symbol.name).find(
        each => each.section.index === symbol.place && each.start === symbol.value,
      );
      if (part !== undefined) return { kind: 'part', part, offset };
    }
    const part = this.#localPartAt(target.index, position);
    if (part !== undefined) return { kind: 'part', part, offset: position - part.start };
    return this.#nameless(target, position);
  }

  #string(section: TextSection, position: number): string {
    const bytes = this.object.bytes(section, position, section.size);
    const end = bytes.indexOf(0);
    if (end < 0)
      throw unreadable(this.object.path, `no string is at ${section.name}+0x${position.toString(16)}`);
    return bytes.toString('latin1', 0, end);
  }

  /** Code of no name ends where the next relocation points to; data of no name at the next name. */
  #nameless(section: TextSection, position: number): Meaning {
    const cuts = this.#cuts.get(section.index);
    if (cuts !== undefined) {
      const end = cuts.find(cut => cut > position) ?? section.size;
      return { kind: 'nameless', section, start: position, size: end - position, offset: 0 };
    }
    const parts = this.#bySection.get(section.index) ?? [];
    const before = parts.findLast(part => part.start + part.size <= position);
    const start = before === undefined ? 0 : before.start + before.size;
    const end = parts.find(part => part.start > position)?.start ?? section.size;
    return { kind: 'nameless', section, start, size: end - start, offset: position - start };
  }

  /** Sections of code without names, and every place in them that something points to. */
  #findCuts(): Map<number, number[]> {
    const cuts = new Map<number, number[]>();
    for (const { index, flags, size } of this.object.sections) {
      if (flags.includes('X') && size > 0 && !this.#bySection.has(index)) cuts.set(index, []);
    }
    if (cuts.size === 0) return cuts;
    for (const index of this.object.relocatedSections()) {
      const section = this.object.section(index);
      for (const relocation of this.object.relocations(index)) {
        const { place, value } = relocation.symbol;
        if (typeof place !== 'number') continue;
        cuts.get(place)?.push(value + relocation.addend + this.distance(section, relocation));
      }
    }
    for (const each of cuts.values()) each.sort((a, b) => a - b);
    return cuts;
  }
}

/**
 * @param path - of a relocatable object as the compiler wrote it
 * @throws KstitchError - as {@link readObjectText}
 */
export async function readUnitParts(path: string, signal: AbortSignal): Promise<UnitParts> {
  const object = await readObjectText(path, signal);
  const parts = cutIntoParts(object);
  const sections = sectionsToDecode(object, parts);
  if (sections.length === 0) return new UnitParts(object, parts, new Map());
  const { ends, branches } = await readInstructions(object, sections, signal);
  const resolved = branches.flatMap(branch => resolvedBranch(object, parts, branch));
  return new UnitParts(object.withRelocations(resolved), parts, ends);
}

function cutIntoParts(object: ObjectText): Map<number, Part[]> {
  const padded = object.sectionsNamed('__patchable_function_entries').length > 0;
  const symbols = object.symbols.filter(
    ({ type, name, place }) =>
      typeof place === 'number' &&
      ['FUNC', 'OBJECT', 'NOTYPE'].includes(type) &&
      name !== '' &&
      !name.startsWith('.L'),
  );
  // Larger ones first, so that a label or an empty structure does not hide what it shares its place with.
  symbols.sort((a, b) => a.value - b.value || b.size - a.size || rank(a.bind, a.type) - rank(b.bind, b.type));
  const parts = new Map<number, (Part & { names: string[]; hasLocalName: boolean })[]>();
  for (const [at, symbol] of symbols.entries()) {
    const section = object.section(Number(symbol.place));
    const own = parts.get(section.index) ?? [];
    parts.set(section.index, own);
    const last = own.at(-1);
    if (
      last !== undefined &&
      last.start === symbol.value &&
      (last.size === symbol.size || symbol.size === 0)
    ) {
      last.names.push(symbol.name);
      last.hasLocalName ||= symbol.bind === 'LOCAL';
      continue;
    }
    const end = last === undefined ? 0 : last.start + last.size;
    if (symbol.value < end) continue;
    const isCode = section.flags.includes('X');
    const next = symbols.slice(at + 1).find(each => each.place === symbol.place && each.value > symbol.value);
    const isEmpty = symbol.size === 0 && symbol.type === 'OBJECT';
    const size = symbol.size > 0 || isEmpty ? symbol.size : (next?.value ?? section.size) - symbol.value;
    const gap = symbol.value - end;
    const isLead =
      padded &&
      isCode &&
      gap > 0 &&
      gap <= maxLead &&
      object.bytes(section, end, gap).every(byte => byte === 0x90);
    own.push({
      kind: isCode ? 'function' : 'object',
      name: symbol.name,
      names: [symbol.name],
      isGlobal: symbol.bind !== 'LOCAL',
      hasLocalName: symbol.bind === 'LOCAL',
      section,
      start: symbol.value,
      size,
      lead: isLead ? gap : 0,
    });
  }
  return parts;
}

/** A direct branch, as objdump shows it: where it ends, where it leads. */
interface Branch {
  readonly section: TextSection;
  readonly end: number;
  readonly to: number;
}

/** @returns the relocation that a branch out of its function lacks */
function resolvedBranch(
  object: ObjectText,
  parts: ReadonlyMap<number, readonly Part[]>,
  { section, end, to }: Branch,
) {
  const own = parts.get(section.index) ?? [];
  const around = own.find(part => part.start < end && end <= part.start + part.size);
  const target = own.find(part => part.start <= to && to < part.start + part.size);
  if (around === undefined || target === undefined || around === target) return [];
  const field = end - 4;
  const symbol = object.symbols.find(
    ({ name, place, value }) =>
      place === section.index && value === target.start && target.names.includes(name),
  );
  if (symbol === undefined) return [];
  const distance = object.bytes(section, field, 4);
  // One of two bytes, or with a relocation.
  if (distance.length < 4 || distance.readInt32LE(0) !== to - end) return [];
  if (object.relocationsIn(section.index, field, 4).length > 0) return [];
  const relocation = {
    offset: field,
    type: 'R_X86_64_PLT32',
    symbol,
    addend: to - target.start - 4,
    listedIn: '',
  };
  return [{ section, relocation }];
}

function rank(bind: string, type: string): number {
  return (bind === 'GLOBAL' ? 0 : bind === 'WEAK' ? 2 : 1) + (type === 'NOTYPE' ? 3 : 0);
}

/** Sections of code from which a PC-relative relocation points into a section where the distance matters. */
function sectionsToDecode(object: ObjectText, parts: ReadonlyMap<number, readonly Part[]>): TextSection[] {
  return [...object.relocatedSections()]
    .map(index => object.section(index))
    .filter(
      section =>
        section.flags.includes('X') &&
        ((parts.get(section.index)?.length ?? 0) > 1 ||
          object
            .relocations(section.index)
            .some(
              ({ type, symbol }) =>
                isRelative(type) &&
                symbol.type === 'SECTION' &&
                typeof symbol.place === 'number' &&
                parts.get(symbol.place)?.length !== 1,
            )),
    );
}

/** @returns where instructions end, ascending, by section, and all direct branches */
async function readInstructions(
  object: ObjectText,
  sections: readonly TextSection[],
  signal: AbortSignal,
): Promise<{ readonly ends: Map<number, number[]>; readonly branches: readonly Branch[] }> {
  const names = [...new Set(sections.map(section => section.name))];
  const chosen = names.length > maxNamedSections ? [] : names.flatMap(name => ['-j', name]);
  const args = ['-d', '-w', '-z', '--no-show-raw-insn', ...chosen, object.path];
  const { stdout } = await run('objdump', args, { signal, maxOutput: maxObjdumpOutput });
  const ends = new Map<number, number[]>();
  // Sections of one name are disassembled in their order.
  const waiting = new Map<string, TextSection[]>();
  for (const section of object.sections) {
    if (!section.flags.includes('X') || section.size === 0) continue;
    const namesakes = waiting.get(section.name);
    if (namesakes === undefined) waiting.set(section.name, [section]);
    else namesakes.push(section);
  }
  let section: TextSection | undefined;
  let starts: number[] = [];
  const branches: Branch[] = [];
  let open: Omit<Branch, 'end'> | undefined;
  for (const line of stdout.split('\n')) {
    const head = /^Disassembly of section (.*):$/.exec(line);
    if (head !== null) {
      if (open !== undefined) branches.push({ ...open, end: open.section.size });
      section = waiting.get(head[1] ?? '')?.shift();
      if (section === undefined)
        throw unreadable(object.path, `objdump shows a section that is not there: '${line}'`);
      starts = [];
      open = undefined;
      ends.set(section.index, starts);
    } else if (section !== undefined) {
      const colon = line.indexOf(':\t');
      // An instruction ends where the next begins.
      if (colon <= 0) continue;
      const start = Number.parseInt(line.slice(0, colon), 16);
      starts.push(start);
      if (open !== undefined) branches.push({ ...open, end: start });
      const to = branchTarget.exec(line)?.[1];
      open = to === undefined ? undefined : { section, to: Number.parseInt(to, 16) };
    }
  }
  if (open !== undefined) branches.push({ ...open, end: open.section.size });
  for (const [index, each] of ends) each.push(object.section(index).size);
  return { ends, branches };
}
