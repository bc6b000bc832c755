/**
 * An object file as `readelf` tells it. Nothing here decodes ELF: headers, symbols and relocations are readelf's text,
 * and the contents of a section are the bytes at the file offset that readelf names.
 */
import { readFile } from 'node:fs/promises';
import { fileError } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';

export interface TextSection {
  readonly index: number;
  readonly name: string;
  /** `PROGBITS`, `NOBITS`, `RELA` … */
  readonly type: string;
  readonly address: bigint;
  readonly fileOffset: number;
  readonly size: number;
  /** Size of one entry, where the section has entries of one size. */
  readonly entrySize: number;
  /** Letters: A allocated, W writable, X executable, M mergeable, S strings. */
  readonly flags: string;
  /** Of a relocation section: the section that it applies to. */
  readonly info: number;
  readonly alignment: number;
}

export interface TextSymbol {
  readonly index: number;
  readonly name: string;
  readonly value: number;
  readonly size: number;
  /** `FUNC`, `OBJECT`, `NOTYPE`, `SECTION`, `FILE` … */
  readonly type: string;
  /** `LOCAL`, `GLOBAL`, `WEAK`. */
  readonly bind: string;
  /** A section's index, `UND`, `ABS`, `COM`, or `OS [0xff20]`, which marks a livepatch symbol. */
  readonly place: number | string;
  /** Of a local symbol: the file that the symbol table lists it under. */
  readonly file: string;
}

export interface TextRelocation {
  /** Of the field, in the section that it is in. */
  readonly offset: number;
  /** `R_X86_64_PC32` … */
  readonly type: string;
  readonly symbol: TextSymbol;
  readonly addend: number;
  /** Name of the section that lists it: `.rela.text`, `.klp.rela.vmlinux..text`. */
  readonly listedIn: string;
}

/** Bytes of readelf's output that are read at most; a 1 MB object makes about 5 MB. */
const maxReadelfOutput = 512 * 1024 * 1024;

export class ObjectText {
  readonly path: string;
  readonly sections: readonly TextSection[];
  readonly symbols: readonly TextSymbol[];
  readonly #file: Buffer;
  readonly #relocations: ReadonlyMap<number, readonly TextRelocation[]>;

  constructor(
    path: string,
    file: Buffer,
    tables: {
      readonly sections: readonly TextSection[];
      readonly symbols: readonly TextSymbol[];
      readonly relocations: ReadonlyMap<number, readonly TextRelocation[]>;
    },
  ) {
    this.path = path;
    this.sections = tables.sections;
    this.symbols = tables.symbols;
    this.#file = file;
    this.#relocations = tables.relocations;
  }

  /**
   * @param branches - relocations that the assembler could have left and did not
   * @returns the object as if it had: their fields, of four bytes, are empty
   */
  withRelocations(
    branches: readonly { readonly section: TextSection; readonly relocation: TextRelocation }[],
  ): ObjectText {
    const file = Buffer.from(this.#file);
    const relocations = new Map(this.#relocations);
    for (const { section, relocation } of branches) {
      file.fill(0, section.fileOffset + relocation.offset, section.fileOffset + relocation.offset + 4);
      relocations.set(section.index, [...(relocations.get(section.index) ?? []), relocation]);
    }
    return new ObjectText(this.path, file, {
      sections: this.sections,
      symbols: this.symbols,
      relocations: new Map(
        [...relocations].map(([index, each]) => [index, each.toSorted((a, b) => a.offset - b.offset)]),
      ),
    });
  }

  section(index: number): TextSection {
    const section = this.sections[index];
    if (section === undefined) throw unreadable(this.path, `it has no section ${index}`);
    return section;
  }

  /** @returns all sections of that name */
  sectionsNamed(name: string): readonly TextSection[] {
    return this.sections.filter(section => section.name === name);
  }

  /**
   * @returns the bytes of a part of a section, fewer where it ends before; zeros where the file holds none (`.bss`)
   */
  bytes(section: TextSection, offset: number, size: number): Buffer {
    const end = Math.min(offset + size, section.size);
    if (offset < 0 || offset >= end) return Buffer.alloc(0);
    if (section.type === 'NOBITS') return Buffer.alloc(end - offset);
    return this.#file.subarray(section.fileOffset + offset, section.fileOffset + end);
  }

  /** @returns relocations of the section with that index, from all lists, ascending by offset */
  relocations(section: number): readonly TextRelocation[] {
    return this.#relocations.get(section) ?? [];
  }

  /** @returns relocations whose field begins in [start, start + size) */
  relocationsIn(section: number, start: number, size: number): readonly TextRelocation[] {
    const all = this.relocations(section);
    const first = firstAt(all, start);
    return all.slice(first, firstAt(all, start + size));
  }

  /** @returns indices of sections that have relocations */
  relocatedSections(): Iterable<number> {
    return this.#relocations.keys();
  }
}

function firstAt(relocations: readonly TextRelocation[], offset: number): number {
  let low = 0;
  let high = relocations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((relocations[middle]?.offset ?? Number.POSITIVE_INFINITY) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * @throws KstitchError - `host-tool-missing`, `host-tool-failed` when readelf gives up, `oracle-unreadable` when its text
 *   is not understood
 */
export async function readObjectText(path: string, signal: AbortSignal): Promise<ObjectText> {
  const [{ stdout }, file] = await Promise.all([
    run('readelf', ['-W', '-S', '-s', '-r', path], { signal, maxOutput: maxReadelfOutput }),
    readFile(path).catch((error: unknown) => {
      throw fileError(`read '${path}'`, error);
    }),
  ]);
  return new ObjectText(path, file, parseReadelf(path, stdout));
}

/**
 * @returns the sections of a linked file, for which neither symbols nor relocations are asked
 * @throws KstitchError - as {@link readObjectText}
 */
export async function readSectionText(path: string, signal: AbortSignal): Promise<readonly TextSection[]> {
  const { stdout } = await run('readelf', ['-W', '-S', path], { signal });
  return parseReadelf(path, stdout).sections;
}

const sectionLine =
  /^ +\[ *(\d+)\] (\S*) +(\S+) +([0-9a-f]{16}) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) +([A-Za-z]*) +(\d+) +(\d+) +(\d+)$/;
const symbolLine =
  /^ *(\d+): ([0-9a-f]{16}) +(0x[0-9a-f]+|\d+) (\S+) +(\S+) +(\S+) +(?:\[[^\]]*\] +)?(UND|ABS|COM|\d+|[A-Z]+ ?\[0x[0-9a-f]+\])(?: (.*))?$/;
const relocationHead = /^Relocation section '.*' at offset 0x([0-9a-f]+) contains /;
const relocationLine =
  /^([0-9a-f]{16}) +([0-9a-f]{16}) (R_\S+|unrecognized: \S+) .*?(?:([-+]) )?([0-9a-f]+)$/;

/** readelf prints sections first, then relocations, then symbols: relocations are linked to their symbols at the end. */
function parseReadelf(path: string, text: string) {
  const sections: TextSection[] = [];
  const symbols: TextSymbol[] = [];
  const raw: { readonly list: TextSection; readonly fields: RegExpExecArray }[] = [];
  let list: TextSection | undefined;
  let file = '';
  let part: 'sections' | 'relocations' | 'symbols' | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('Section Headers:')) part = 'sections';
    else if (line.startsWith('Symbol table ')) part = 'symbols';
    else if (line.startsWith('Relocation section ')) {
      part = 'relocations';
      const offset = Number.parseInt(relocationHead.exec(line)?.[1] ?? '', 16);
      list = sections.find(section => section.fileOffset === offset && section.type === 'RELA');
      if (list === undefined)
        throw unreadable(path, `readelf lists relocations that belong to no section: '${line}'`);
    } else if (part === 'sections' && line.startsWith('  [')) {
      const fields = sectionLine.exec(line);
      if (fields !== null) sections.push(sectionOf(fields));
      else if (!line.startsWith('  [Nr]'))
        throw unreadable(path, `readelf's line '${line}' is not understood`);
    } else if (part === 'relocations' && list !== undefined && /^[0-9a-f]{16} /.test(line)) {
      const fields = relocationLine.exec(line);
      if (fields === null) throw unreadable(path, `readelf's line '${line}' is not understood`);
      raw.push({ list, fields });
    } else if (part === 'symbols' && /^ *\d+: /.test(line)) {
      const fields = symbolLine.exec(line);
      if (fields === null) throw unreadable(path, `readelf's line '${line}' is not understood`);
      const symbol = symbolOf(fields, file);
      if (symbol.type === 'FILE') file = symbol.name;
      symbols.push(symbol);
    }
  }
  const relocations = new Map<number, TextRelocation[]>();
  for (const { list: section, fields } of raw) {
    const symbol = symbols[Number.parseInt((fields[2] ?? '').slice(0, 8), 16)];
    if (symbol === undefined)
      throw unreadable(path, `a relocation names a symbol that is not there: '${fields[0]}'`);
    const addend = Number.parseInt(fields[5] ?? '', 16);
    const relocation = {
      offset: Number.parseInt(fields[1] ?? '', 16),
      type: fields[3] ?? '',
      symbol,
      addend: fields[4] === '-' ? -addend : addend,
      listedIn: section.name,
    };
    const known = relocations.get(section.info);
    if (known === undefined) relocations.set(section.info, [relocation]);
    else known.push(relocation);
  }
  for (const each of relocations.values()) each.sort((a, b) => a.offset - b.offset);
  return { sections, symbols, relocations };
}

function sectionOf(fields: RegExpExecArray): TextSection {
  return {
    index: Number(fields[1]),
    name: fields[2] ?? '',
    type: fields[3] ?? '',
    address: BigInt(`0x${fields[4]}`),
    fileOffset: Number.parseInt(fields[5] ?? '', 16),
    size: Number.parseInt(fields[6] ?? '', 16),
    entrySize: Number.parseInt(fields[7] ?? '', 16),
    flags: fields[8] ?? '',
    info: Number(fields[10]),
    alignment: Number(fields[11]),
  };
}

function symbolOf(fields: RegExpExecArray, file: string): TextSymbol {
  const place = fields[7] ?? '';
  return {
    index: Number(fields[1]),
    value: Number.parseInt(fields[2] ?? '', 16),
    size: Number(fields[3]),
    type: fields[4] ?? '',
    bind: fields[5] ?? '',
    place: /^\d+$/.test(place) ? Number(place) : place,
    name: fields[8] ?? '',
    file: fields[5] === 'LOCAL' ? file : '',
  };
}

/** @returns the error for text of readelf or objdump that does not say what it should */
export function unreadable(path: string, problem: string): KstitchError {
  return new KstitchError('oracle-unreadable', `cannot judge '${path}': ${problem}`);
}
