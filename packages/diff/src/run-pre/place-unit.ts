/**
 * Run-pre match: finds where the unit *as shipped* stands in the shipped kernel, as a whole, and proves it.
 *
 * The idea is Ksplice's, the form is simpler here because the shipped image is at hand and the unit was compiled with
 * the kernel's exact flags: a linker moves sections, never parts of them. So it is enough to find one base address for
 * every section of the object; the address of each symbol follows. The proof has three parts:
 *   - every byte outside of relocation fields and jump-label sites is equal;
 *   - every relocation field, read back from the image, gives one and the same address for one symbol, and the kernel's
 *     own table knows that symbol at that address; strings and constants have equal contents;
 *   - inside the object's span the shipped kernel has no symbol that the object lacks.
 * A wrong compiler, another configuration or another source fail at least one of the three. What a relocation site
 * resolves to is then the truth about which of four same-named `set_root` this unit calls.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { Atom, Reference, Unit } from '../unit/atom.ts';
import { isJumpLabelNop, jumpLabelSites } from './jump-label-sites.ts';
import type { Address, ShippedObject } from './shipped-object.ts';

export interface PlacementFigures {
  functions: number;
  objects: number;
  relocations: number;
  jumpLabelSites: number;
  /** Weak functions and objects that another unit overrides. */
  overridden: number;
}

/** Where the unit stands. */
export interface Placement {
  /** @returns the address of a named atom's symbol, or undefined where the shipped kernel has dropped it */
  addressOf(atom: Atom): Address | undefined;
  /** @returns what the shipped unit's references to a symbol of another unit resolve to */
  external(name: string): Address | undefined;
  /** Weak definitions that lost against another unit's: the body is there, nobody calls it. */
  isOverridden(atom: Atom): boolean;
  readonly figures: PlacementFigures;
}

export interface PlacementResult {
  readonly placement: Placement;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * @param unit - the unit compiled with the kernel's exact flags
 * @param shipped - vmlinux or the module that the unit is part of
 * @returns the placement and what speaks against it; with any refusal in it the placement must not be used
 */
export function placeUnit(unit: Unit, shipped: ShippedObject, arch: Architecture): PlacementResult {
  return new UnitPlacer(unit, shipped, arch).place();
}

class UnitPlacer {
  readonly #unit: Unit;
  readonly #shipped: ShippedObject;
  readonly #arch: Architecture;
  readonly #diagnostics: Diagnostic[] = [];
  readonly #sections = new Map<number, Atom[]>();
  readonly #bases = new Map<number, Address>();
  readonly #externals = new Map<string, Address>();
  /** Places that symbols and bytes leave open (`__already_done.3` is all that many a `.data.once` holds). */
  readonly #undecided = new Map<number, readonly Address[]>();
  readonly #overridden = new Map<Atom, Address | undefined>();
  readonly #pending: number[] = [];
  readonly #figures: PlacementFigures = {
    functions: 0,
    objects: 0,
    relocations: 0,
    jumpLabelSites: 0,
    overridden: 0,
  };

  constructor(unit: Unit, shipped: ShippedObject, arch: Architecture) {
    this.#unit = unit;
    this.#shipped = shipped;
    this.#arch = arch;
    for (const atom of unit.atoms) {
      if ((atom.kind !== 'function' && atom.kind !== 'object') || atom.kept !== undefined) continue;
      const list = this.#sections.get(atom.section.index);
      if (list === undefined) this.#sections.set(atom.section.index, [atom]);
      else list.push(atom);
    }
  }

  place(): PlacementResult {
    // Sections whose symbols the kernel's table knows place themselves.
    for (const [section, atoms] of this.#sections) this.#placeBySymbols(section, atoms);

    // Verifying a section resolves its references, and those place sections without symbols: anonymous constants.
    while (this.#pending.length > 0) this.#verifySection(this.#pending.pop() as number);

    this.#refuseUndecidedCode();

    for (const [section, atoms] of this.#sections) this.#checkSpan(section, atoms);
    this.#figures.overridden = this.#overridden.size;
    return {
      placement: {
        addressOf: atom => this.#addressOf(atom),
        external: name => this.#externals.get(name),
        isOverridden: atom => this.#overridden.has(atom),
        figures: this.#figures,
      },
      diagnostics: this.#diagnostics,
    };
  }

  #addressOf(atom: Atom): Address | undefined {
    if (this.#overridden.has(atom)) return this.#overridden.get(atom);
    const base = this.#bases.get(atom.section.index);
    return base === undefined ? undefined : base + atom.offset + atom.entry;
  }

  #placeBySymbols(section: number, atoms: readonly Atom[]): void {
    const named = atoms.filter(atom => atom.name !== '');
    const anchors = named.filter(atom => !isWeak(atom));
    let candidates = this.#candidates(anchors.length > 0 ? anchors : named);
    if (candidates === undefined) return;
    if (candidates.length > 1) candidates = candidates.filter(base => this.#fits(atoms, base));
    const base = candidates[0];
    const isOther = base !== undefined && anchors.length === 0 && this.#isReplaced(named, base);
    if (candidates.length === 1 && base !== undefined && !isOther) {
      this.#setBase(section, base);
      for (const atom of named) if (isWeak(atom)) this.#noteOverridden(atom, base);
      return;
    }
    if (anchors.length === 0) {
      // Nothing but weak definitions, all of them overridden.
      for (const atom of named) this.#noteOverridden(atom, Number.NaN);
      return;
    }
    if (candidates.length === 0) this.#diagnostics.push(this.#missing(anchors));
    else this.#undecided.set(section, candidates);
  }

  /**
   * @returns addresses at which every one of the atoms would be where the kernel's table has a symbol of its name, or
   *   undefined where the table knows none of them
   */
  #candidates(atoms: readonly Atom[]): Address[] | undefined {
    let best: { readonly atom: Atom; readonly addresses: readonly Address[] } | undefined;
    for (const atom of atoms) {
      const addresses = this.#shipped.named(atom.name);
      if (addresses.length === 0) {
        // kallsyms leaves out some objects; a function that it does not know was dropped by the linker with its whole
        // section (.exit.text of built-in code) or never there.
        if (atom.kind === 'function' && !atom.init) return [];
        continue;
      }
      if (best === undefined || addresses.length < best.addresses.length) best = { atom, addresses };
    }
    if (best === undefined) return undefined;
    const { atom, addresses } = best;
    return addresses
      .map(address => address - atom.offset - atom.entry)
      .filter(base => atoms.every(other => this.#standsAt(other, base)));
  }

  #standsAt(atom: Atom, base: Address): boolean {
    const addresses = this.#shipped.named(atom.name);
    return addresses.length === 0
      ? atom.kind === 'object' || atom.init
      : addresses.includes(base + atom.offset + atom.entry);
  }

  /** Whether the bytes there are those of the section: only asked when symbols alone leave a choice. */
  #fits(atoms: readonly Atom[], base: Address): boolean {
    return atoms.every(atom => this.#firstDifference(atom, base + atom.offset) === undefined);
  }

  /** Whether what stands there under these names is not weak, and other data: another unit's. */
  #isReplaced(atoms: readonly Atom[], base: Address): boolean {
    const isStrong = ({ name, offset, entry }: Atom) => !this.#shipped.isWeak(name, base + offset + entry);
    return (
      atoms.every(atom => atom.kind === 'object' && isStrong(atom)) &&
      atoms.some(atom => this.#firstDifference(atom, base + atom.offset) !== undefined)
    );
  }

  #setBase(section: number, base: Address): void {
    this.#bases.set(section, base);
    this.#pending.push(section);
  }

  #noteOverridden(atom: Atom, base: Address): void {
    const addresses = this.#shipped.named(atom.name);
    if (addresses.includes(base + atom.offset + atom.entry)) return;
    this.#overridden.set(atom, addresses.length === 1 ? addresses[0] : undefined);
  }

  #verifySection(section: number): void {
    const base = this.#bases.get(section) as Address;
    for (const atom of this.#sections.get(section) ?? []) {
      if (atom.kind === 'function') this.#figures.functions += 1;
      else if (atom.name !== '') this.#figures.objects += 1;
      // Data of which nobody sees this copy may differ: init/version.c was compiled before the build had its number, and its
      // banner is replaced by that of init/version-timestamp.c.
      if (atom.kind === 'object' && this.#overridden.has(atom)) continue;
      const difference = this.#firstDifference(atom, base + atom.offset);
      if (difference !== undefined) {
        this.#mismatch(atom, difference, this.#describeBytes(atom, base + atom.offset, difference));
        continue;
      }
      this.#verifyReferences(atom, base + atom.offset);
    }
  }

  /** Offset of the first byte that differs outside of relocation fields and jump-label sites. */
  #firstDifference(atom: Atom, address: Address): number | undefined {
    if (atom.bytes.length === 0) return undefined;
    const shipped = this.#shipped.read(address, atom.bytes.length);
    if (shipped === undefined) return 0;
    if (Buffer.compare(shipped, atom.bytes) === 0) return undefined;
    const masked = new Uint8Array(atom.bytes.length);
    for (const reference of atom.references) {
      const size = this.#arch.relocation(reference.type)?.size ?? 0;
      masked.fill(1, reference.offset, reference.offset + size);
    }
    for (const site of jumpLabelSites(atom).values()) {
      if (isJumpLabelNop(shipped, site.offset, site.length))
        masked.fill(1, site.offset, site.offset + site.length);
    }
    for (let i = 0; i < shipped.length; i += 1) {
      if (shipped[i] !== atom.bytes[i] && masked[i] === 0) return i;
    }
    return undefined;
  }

  #verifyReferences(atom: Atom, address: Address): void {
    const sites = jumpLabelSites(atom);
    this.#figures.jumpLabelSites += sites.size;
    for (const reference of atom.references) {
      // The raw site may be a jump to `foo.cold` with a relocation, where objtool put a NOP.
      const site = sites.get(reference.offset - 1);
      if (site !== undefined) {
        const shipped = this.#shipped.read(address + site.offset, site.length);
        if (shipped !== undefined && isJumpLabelNop(shipped, 0, site.length)) continue;
      }
      this.#verifyReference(atom, reference, address);
    }
  }

  #verifyReference(atom: Atom, reference: Reference, address: Address): void {
    const kind = this.#arch.relocation(reference.type);
    if (kind === undefined) {
      this.#mismatch(atom, reference.offset, `relocation type ${reference.type} is unknown`);
      return;
    }
    if (kind.size === 0) return;
    this.#figures.relocations += 1;
    const pointed = this.#shipped.pointedTo(address + reference.offset, kind);
    const { target } = reference;
    if (pointed === undefined) {
      this.#mismatch(atom, reference.offset, `the shipped ${this.#shipped.name} has no relocation here`);
    } else if (pointed.kind === 'symbol') {
      const offset = pointed.addend + reference.bias;
      if (target.kind === 'external' && target.name === pointed.name && target.offset === offset) return;
      if (target.kind === 'atom' && target.atom.name === pointed.name && isWeak(target.atom)) {
        this.#overridden.set(target.atom, undefined);
        return;
      }
      this.#mismatch(
        atom,
        reference.offset,
        `refers to ${describeTarget(target)} here, to '${pointed.name}' as shipped`,
      );
    } else if (target.kind === 'external') {
      this.#verifyExternal(atom, reference, target.name, pointed.address + reference.bias - target.offset);
    } else {
      this.#verifyAtomTarget(atom, reference, target.atom, pointed.address + reference.bias - target.offset);
    }
  }

  #verifyExternal(atom: Atom, reference: Reference, name: string, address: Address): void {
    const known = this.#externals.get(name);
    if (known !== undefined) {
      if (known !== address) {
        this.#mismatch(
          atom,
          reference.offset,
          `'${name}' is at ${hex(address)} here and at ${hex(known)} elsewhere in this unit`,
        );
      }
      return;
    }
    // The table leaves out a few linker-made symbols; a symbol that it knows must be there.
    const addresses = this.#shipped.named(name);
    if (addresses.length > 0 && !addresses.includes(address)) {
      this.#mismatch(
        atom,
        reference.offset,
        `refers to '${name}', as shipped to ${this.#describeAddress(address)}`,
      );
      return;
    }
    this.#externals.set(name, address);
  }

  #verifyAtomTarget(atom: Atom, reference: Reference, target: Atom, start: Address): void {
    if (target.kind === 'string' || target.kind === 'constant') {
      const shipped = this.#shipped.read(start, target.size);
      if (shipped === undefined || Buffer.compare(shipped, target.bytes) !== 0) {
        this.#mismatch(
          atom,
          reference.offset,
          `refers to ${describeContent(target)}, as shipped to ${hex(start)}, which holds something else`,
        );
      }
      return;
    }
    if (target.kind === 'chunk') return;
    const section = target.section.index;
    const base = this.#bases.get(section);
    if (base === undefined) {
      if (this.#overridden.has(target)) return;
      this.#placeByReference(atom, reference, target, start);
      return;
    }
    if (base + target.offset === start) return;
    if (isWeak(target) && this.#shipped.namesAt(start + target.entry).includes(target.name)) {
      this.#overridden.set(target, start + target.entry);
      return;
    }
    this.#mismatch(
      atom,
      reference.offset,
      `refers to ${describeTarget(reference.target)}, as shipped to ${this.#describeAddress(start + target.entry)}`,
    );
  }

  /** What verified code refers to is where the section is, if it may be there. */
  #placeByReference(atom: Atom, reference: Reference, target: Atom, start: Address): void {
    const base = start - target.offset;
    const candidates = this.#undecided.get(target.section.index);
    if (candidates !== undefined && !candidates.includes(base)) {
      this.#mismatch(
        atom,
        reference.offset,
        `refers to ${describeTarget(reference.target)}, as shipped to ${this.#describeAddress(start + target.entry)}`,
      );
      return;
    }
    this.#setBase(target.section.index, base);
  }

  /** Data that no code refers to may stay undecided: nothing asks where it is. */
  #refuseUndecidedCode(): void {
    for (const [section, candidates] of this.#undecided) {
      const code = this.#sections.get(section)?.find(atom => atom.kind === 'function');
      // Exit functions of built-in drivers are alike, and gone: nothing of a livepatch refers to them.
      if (code === undefined || code.init || this.#bases.has(section)) continue;
      this.#diagnostics.push(
        diagnostic(
          'run-pre-ambiguous',
          { unit: this.#unit.name, symbol: code.name, object: this.#shipped.name },
          `section '${code.section.name}' fits ${candidates.length} places of the shipped ${this.#shipped.name}`,
        ),
      );
    }
  }

  #checkSpan(section: number, atoms: readonly Atom[]): void {
    const base = this.#bases.get(section);
    const first = atoms[0];
    if (base === undefined || first === undefined) return;
    const own = new Set(atoms.map(atom => base + atom.offset + atom.entry));
    for (const symbol of this.#shipped.strictlyBetween(base, base + first.section.sh_size)) {
      if (
        own.has(symbol.address) ||
        this.#unit.symbolNames.has(symbol.name) ||
        this.#isLabel(atoms, base, symbol.address)
      )
        continue;
      this.#diagnostics.push(
        diagnostic(
          'run-pre-extra-symbol',
          { unit: this.#unit.name, symbol: symbol.name, object: this.#shipped.name },
          `the shipped ${this.#shipped.name} has '${symbol.name}' where the compiled ${this.#unit.name} has nothing of that name`,
        ),
      );
    }
  }

  /** Padding symbols (`__pfx_foo`) and assembly labels stand within what belongs to a function of ours. */
  #isLabel(atoms: readonly Atom[], base: Address, address: Address): boolean {
    return atoms.some(
      atom =>
        atom.kind === 'function' &&
        address >= base + atom.offset - maxPadding &&
        address < base + atom.offset + atom.size &&
        this.#shipped.namesAt(address).every(name => name.startsWith('__pfx_') || name.startsWith('__cfi_')),
    );
  }

  #missing(anchors: readonly Atom[]): Diagnostic {
    const [first] = anchors as [Atom];
    const absent = anchors.filter(atom => this.#shipped.named(atom.name).length === 0);
    const names = (absent.length > 0 ? absent : anchors).slice(0, 8).map(atom => atom.name);
    return diagnostic(
      'run-pre-missing',
      { unit: this.#unit.name, symbol: absent[0]?.name ?? first.name, object: this.#shipped.name },
      `section '${first.section.name}' of the compiled ${this.#unit.name} fits nowhere in the shipped ${this.#shipped.name}`,
      {
        notes: [
          absent.length > 0
            ? `not in the shipped ${this.#shipped.name}: ${names.join(', ')}`
            : `no common place for: ${names.join(', ')}`,
        ],
      },
    );
  }

  #mismatch(atom: Atom, offset: number, difference: string): void {
    this.#diagnostics.push(
      diagnostic(
        'run-pre-mismatch',
        {
          unit: this.#unit.name,
          symbol: atom.name || atom.section.name,
          offset: offset - atom.entry,
          object: this.#shipped.name,
        },
        `the compiled ${this.#unit.name} is not what the shipped ${this.#shipped.name} holds`,
        { notes: [difference] },
      ),
    );
  }

  #describeBytes(atom: Atom, address: Address, offset: number): string {
    const length = Math.min(8, atom.bytes.length - offset);
    const shipped = this.#shipped.read(address + offset, length);
    const dump = (bytes: Uint8Array): string =>
      Buffer.from(bytes)
        .toString('hex')
        .replace(/(..)(?=.)/g, '$1 ');
    return `compiled: ${dump(atom.bytes.subarray(offset, offset + length))}; shipped: ${shipped === undefined ? 'nothing' : dump(shipped)}`;
  }

  #describeAddress(address: Address): string {
    const names = this.#shipped.namesAt(address);
    return names.length === 0 ? hex(address) : `'${names.join("' = '")}'`;
  }
}

/** Bytes of NOPs that objtool may have given a symbol of their own before a function. */
const maxPadding = 64;

function isWeak(atom: Atom): boolean {
  return atom.symbol?.bind === STB.WEAK;
}

export function describeTarget(target: Reference['target']): string {
  if (target.kind === 'external') return `'${target.name}'`;
  return target.atom.name === '' ? describeContent(target.atom) : `'${target.atom.name}'`;
}

function describeContent(atom: Atom): string {
  if (atom.kind === 'string')
    return JSON.stringify(Buffer.from(atom.bytes.subarray(0, -1)).toString('latin1'));
  return `${atom.size} bytes of '${atom.section.name}'`;
}

function hex(address: Address): string {
  return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
}
