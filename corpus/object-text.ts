/**
 * What `objdump` says about an object, made comparable. Nothing here knows kstitch's ELF reader or differ: this is the second
 * opinion on what they say.
 */

/** An object in parts that do not depend on each other's size or order. */
export interface ObjectText {
  /** By function name; texts of functions that have one name stand together, in the order of the object. */
  readonly functions: ReadonlyMap<string, readonly string[]>;
  /** By section name, everything that is not code: its bytes and its relocations. */
  readonly data: ReadonlyMap<string, readonly string[]>;
}

export interface ObjdumpOutput {
  /** `objdump --disassemble --reloc --wide` */
  readonly disassembly: string;
  /** `objdump --full-contents` */
  readonly contents: string;
  /** `objdump --reloc` */
  readonly relocations: string;
  /** `objdump --section-headers --wide` */
  readonly headers: string;
  /** `objdump --syms` */
  readonly symbols: string;
}

/**
 * @returns functions and data with all numbers gone that the compiler or assembler counts up over the unit: of local symbols
 *   (`__func__.123`), of strings (shown by their text), of descriptors in shared sections (shown by their contents)
 */
export function readObjectText(output: ObjdumpOutput): ObjectText {
  const names = new Targets(output);
  const functions = new Map<string, string[]>();
  const data = new Map<string, string[]>();
  for (const { name, text } of readCode(output.disassembly, names)) {
    push(names.code.has(name) ? data : functions, normaliseNames(name), text);
  }
  readData(output, names, data);
  return { functions, data };
}

/** `foo.123` → `foo.N`, `__UNIQUE_ID_x123` → `__UNIQUE_ID_xN`, `__BTF_ID__struct__s__7` → `__BTF_ID__struct__s__N`; what the sections of strings are called is no such number. */
export function normaliseNames(text: string): string {
  return text
    .replaceAll(/(__UNIQUE_ID_[A-Za-z_]*)\d+/g, '$1N')
    .replaceAll(/(__BTF_ID__\w+__)\d+/g, '$1N')
    .replaceAll(/([A-Za-z_]\w*)\.(\d+)(?!\w)/g, (whole: string, name: string) =>
      /^(?:str|cst)\d+$/.test(name) ? whole : `${name}.N`,
    );
}

interface NamedRange {
  readonly name: string;
  readonly kind: 'function' | 'object' | 'label';
  readonly start: number;
  /** Of a label, where it stands. */
  readonly end: number;
}

interface DataRelocation {
  readonly at: number;
  readonly type: string;
  readonly target: string;
}

/** What the targets of relocations are called when sections and offsets are not to be compared. */
class Targets {
  /** Names of the sections with instructions. */
  readonly code: ReadonlySet<string>;
  /** By section. */
  readonly contents: ReadonlyMap<string, Buffer>;
  /** By section without instructions. */
  readonly relocations: ReadonlyMap<string, readonly DataRelocation[]>;
  readonly #symbols: ReadonlyMap<string, readonly NamedRange[]>;
  /** Instructions by section and address. */
  readonly #code: ReadonlyMap<string, ReadonlyMap<number, string>>;
  /** Where the compiler's own labels stand, which the assembler keeps for what is mergeable: `.LC148`. */
  readonly #labels: ReadonlyMap<string, { readonly section: string; readonly offset: number }>;

  constructor({ disassembly, headers, contents, relocations, symbols }: ObjdumpOutput) {
    // Lines `  9 .text.f  00000040  … ALLOC, LOAD, RELOC, READONLY, CODE`.
    this.code = new Set([...headers.matchAll(/^ *\d+ (\S+) .*\bCODE\b.*$/gm)].map(match => match[1] ?? ''));
    this.contents = readContents(contents);
    this.relocations = readRelocations(relocations);
    this.#symbols = readSymbols(symbols);
    this.#code = readInstructions(disassembly);
    this.#labels = new Map(
      [...this.#symbols].flatMap(([section, ranges]) =>
        ranges
          .filter(({ kind, name }) => kind === 'label' && name.startsWith('.L'))
          .map(({ name, start }) => [name, { section, offset: start }] as const),
      ),
    );
  }

  /** @returns where the function ends that begins there, without what the assembler filled in behind it */
  endOfFunction(section: string, start: number): number {
    const found = this.#symbols
      .get(section)
      ?.find(range => range.kind === 'function' && range.start === start);
    return found === undefined || found.end === found.start ? Number.POSITIVE_INFINITY : found.end;
  }

  isMergeable(section: string): boolean {
    return /^\.rodata.*\.(?:str|cst)\d/.test(section) && this.contents.has(section);
  }

  /**
   * @param target - `.rodata.str1.1+0x54`, `__func__.123-0x4`
   * @param correction - added to the addend to get the address that is meant
   */
  show(target: string, correction: number, deep = true): string {
    const [, base = target, sign, digits = '0'] = /^(.*?)(?:([+-])0x([0-9a-f]+))?$/.exec(target) ?? [];
    const size = Number(BigInt.asIntN(64, BigInt(`0x${digits}`)));
    const label = this.#labels.get(base);
    const section = label?.section ?? base;
    const offset = (sign === '-' ? -size : size) + correction + (label?.offset ?? 0);
    if (this.isMergeable(section)) return this.#showConstant(section, offset);
    const object = this.#symbols
      .get(section)
      ?.find(({ kind, start, end }) => kind !== 'label' && start <= offset && offset < end);
    if (object === undefined) return this.#showCode(section, offset) ?? withOffset(section, offset);
    const shown = withOffset(object.name, offset - object.start);
    const descriptor = deep && object.name.startsWith('__UNIQUE_ID_');
    return descriptor ? `${shown} {${this.#showObject(section, object)}}` : shown;
  }

  /**
   * @returns the instructions from there to the first that leaves; undefined where none begins. Sections like `.altinstr_aux` hold
   *   pieces of code without symbols, which stand elsewhere when another function has one less.
   */
  #showCode(section: string, offset: number): string | undefined {
    const lines = this.#code.get(section);
    const piece: string[] = [];
    for (let at = offset; ; ) {
      const [, , bytes = '', words = '', relocations = ''] = instruction.exec(lines?.get(at) ?? '') ?? [];
      if (bytes === '') return piece.length === 0 ? undefined : `{${piece.join('; ')}}`;
      piece.push(bytes.trim());
      for (const [, place = '', type = '', target = ''] of relocations.matchAll(relocation)) {
        piece.push(`+${Number.parseInt(place, 16) - at} ${type} ${normaliseNames(target)}`);
      }
      if (/^(?:jmp|ret)/.test(words)) return `{${piece.join('; ')}}`;
      at += bytes.trim().split(' ').length;
    }
  }

  #showConstant(section: string, offset: number): string {
    const contents = this.contents.get(section) ?? Buffer.alloc(0);
    const size = /\.cst(\d+)$/.exec(section)?.[1];
    if (size !== undefined)
      return `constant ${contents.subarray(offset, offset + Number(size)).toString('hex')}`;
    const end = contents.indexOf(0, offset);
    return `string ${JSON.stringify(contents.toString('latin1', offset, end === -1 ? undefined : end))}`;
  }

  #showObject(section: string, { start, end }: NamedRange): string {
    const bytes = this.contents.get(section)?.subarray(start, end).toString('hex') ?? `size ${end - start}`;
    const inside = (this.relocations.get(section) ?? []).filter(({ at }) => start <= at && at < end);
    return [
      bytes,
      ...inside.map(({ at, type, target }) => `+${at - start} ${type} ${this.show(target, 0, false)}`),
    ].join('; ');
  }
}

function withOffset(name: string, offset: number): string {
  return `${normaliseNames(name)}${offset < 0 ? '-' : '+'}${Math.abs(offset)}`;
}

/** Lines ` 0010 65787434 5f6d625f …  ext4_mb_` below `Contents of section NAME:`. */
function readContents(text: string): ReadonlyMap<string, Buffer> {
  const parts = text.split(/^Contents of section /m).slice(1);
  return new Map(
    parts.map(part => {
      const hex = [...part.matchAll(/^ [0-9a-f]{4,} ((?:[0-9a-f]{2,8} ){1,4})/gm)];
      const bytes = Buffer.from(hex.map(m => (m[1] ?? '').replaceAll(' ', '')).join(''), 'hex');
      return [part.slice(0, part.indexOf(':\n')), bytes];
    }),
  );
}

/** Lines `OFFSET TYPE TARGET` below `RELOCATION RECORDS FOR [NAME]:`. */
function readRelocations(text: string): ReadonlyMap<string, readonly DataRelocation[]> {
  const blocks = text.split(/^RELOCATION RECORDS FOR \[/m).slice(1);
  return new Map(
    blocks.map(block => [
      block.slice(0, block.indexOf(']:')),
      [...block.matchAll(/^([0-9a-f]+) (R_\S+) +(\S+)$/gm)].map(([, at = '', type = '', target = '']) => ({
        at: Number.parseInt(at, 16),
        type,
        target,
      })),
    ]),
  );
}

/** Lines `0000000000000150 l     O __dyndbg<tab>0000000000000038 __UNIQUE_ID_ddebug428.6`. */
function readSymbols(text: string): ReadonlyMap<string, readonly NamedRange[]> {
  const symbols = new Map<string, NamedRange[]>();
  for (const [, value = '', type = '', section = '', size = '', name = ''] of text.matchAll(
    /^([0-9a-f]{16}) .{6}([FO ]) (\S+)\t([0-9a-f]{16}) (?:\.hidden )?(\S+)$/gm,
  )) {
    const start = Number.parseInt(value, 16);
    const kind = type === 'F' ? 'function' : type === 'O' ? 'object' : 'label';
    const list = symbols.get(section) ?? [];
    list.push({ name, kind, start, end: start + Number.parseInt(size, 16) });
    symbols.set(section, list);
  }
  return symbols;
}

const instruction = /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t?([^\t]*)((?:\t[0-9a-f]+: R_\S+\t\S+)*)\s*$/;

/** @returns the lines of `objdump --disassemble` by section and address */
function readInstructions(disassembly: string): ReadonlyMap<string, ReadonlyMap<number, string>> {
  const sections = disassembly.split(/^Disassembly of section /m).slice(1);
  return new Map(
    sections.map(part => {
      const lines = part.split('\n').flatMap(line => {
        const address = instruction.exec(line)?.[1];
        return address === undefined ? [] : [[Number.parseInt(address, 16), line] as const];
      });
      return [part.slice(0, part.indexOf(':\n')), new Map(lines)];
    }),
  );
}

/** Behind an instruction. */
const relocation = /\t([0-9a-f]+): (R_\S+)\t(\S+)/g;

/** What stands below each `ADDRESS <NAME>:`; without a function there, the section gives the name. */
function* readCode(disassembly: string, names: Targets): Generator<{ name: string; text: string }> {
  for (const part of disassembly.split(/^Disassembly of section /m).slice(1)) {
    const section = part.slice(0, part.indexOf(':\n'));
    for (const block of part.split(/^(?=[0-9a-f]{16} <)/m).slice(1)) {
      const [head = '', ...lines] = block.split('\n');
      const start = Number.parseInt(head.slice(0, 16), 16);
      const end = names.endOfFunction(section, start);
      const text = lines.flatMap(line => showInstruction(line, start, end, names));
      yield { name: /<(.*)>:/.exec(head)?.[1] ?? head, text: text.join('\n') };
    }
  }
}

/** @returns its bytes and, below them, its relocations; nothing for what is no instruction of the function */
function showInstruction(line: string, start: number, end: number, names: Targets): string[] {
  const [, address, bytes = '', words = '', relocations = ''] = instruction.exec(line) ?? [];
  if (address === undefined) return [];
  const at = Number.parseInt(address, 16);
  if (at >= end) return [];
  const next = at + bytes.trim().split(' ').length;
  return [
    `${(at - start).toString(16)}: ${bytes.trim()} ${words.split(' ', 1)[0]}`,
    ...[...relocations.matchAll(relocation)].map(([, place = '', type = '', target = '']) => {
      const offset = Number.parseInt(place, 16);
      // Relative to the field; the processor counts from the instruction's end.
      const correction = /PC|PLT/.test(type) ? next - offset : 0;
      return `  +${(offset - at).toString(16)} ${type} ${names.show(target, correction)}`;
    }),
  ];
}

/** Sections of mergeable contents are shown by whom they serve; the relocations of code stand beside its instructions. */
function readData({ headers }: ObjdumpOutput, names: Targets, data: Map<string, string[]>): void {
  const inEntries = new Set<string>();
  for (const [name, bytes] of names.contents) {
    if (names.code.has(name) || names.isMergeable(name)) continue;
    const entries = showEntries(name, bytes, names);
    if (entries !== undefined) inEntries.add(name);
    push(data, normaliseNames(name), entries ?? bytes.toString('hex'));
  }
  // Zeroed data has no contents, but a size.
  for (const [, name = '', size = '', flags = ''] of headers.matchAll(
    /^ *\d+ (\S+) +([0-9a-f]+) +[0-9a-f]+ +[0-9a-f]+ +[0-9a-f]+ +\S+ +(.*)$/gm,
  )) {
    if (!flags.includes('CONTENTS')) push(data, normaliseNames(name), `size ${size}`);
  }
  for (const [name, relocations] of names.relocations) {
    if (names.code.has(name) || inEntries.has(name)) continue;
    const lines = relocations.map(({ at, type, target }) => `${at} ${type} ${names.show(target, 0)}`);
    push(data, normaliseNames(name), lines.join('\n'));
  }
}

/** How many relocations each entry has, of tables whose order follows that of the functions and says nothing. */
const relocationsOfEntry: Readonly<Record<string, number>> = {
  __bug_table: 2,
  __ex_table: 2,
  __jump_table: 3,
  '.altinstructions': 2,
  '.parainstructions': 1,
  '.smp_locks': 1,
};

/** @returns its entries, sorted; undefined of a section that is no such table */
function showEntries(section: string, bytes: Buffer, names: Targets): string | undefined {
  const each = relocationsOfEntry[section];
  const relocations = names.relocations.get(section) ?? [];
  if (each === undefined || relocations.length === 0) return undefined;
  const size = bytes.length / (relocations.length / each);
  if (!Number.isInteger(size)) return undefined;
  const entries = Array.from({ length: bytes.length / size }, (_, i) => {
    const inside = relocations.filter(({ at }) => Math.floor(at / size) === i);
    return [
      bytes.toString('hex', i * size, (i + 1) * size),
      ...inside.map(({ at, type, target }) => `+${at % size} ${type} ${names.show(target, 0)}`),
    ].join('; ');
  });
  return entries.toSorted().join('\n');
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
