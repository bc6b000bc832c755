/**
 * The symbol table that the linker leaves in a vmlinux, as kallsyms would have it.
 *
 * A kernel that somebody built himself has its vmlinux with all symbols. kallsyms is made from exactly these: `nm -n`, filtered
 * (scripts/mksysmap since 6.2, before that within scripts/kallsyms.c too) and sorted by address, with four rules for symbols of
 * one address. A livepatch names a symbol by its place among those of its name, so the order must be the same to the last one.
 */
import { hasFlag, SHF, SHN, SHT, STB, STT } from '@kstitch/elf/constants';
import type { ElfSymbol } from '@kstitch/elf/model';
import { Kallsyms, type KernelSymbol, packNames } from './kallsyms.ts';
import type { KernelImage } from './kernel-image.ts';

/**
 * @returns the symbols in the order of kallsyms; undefined when the image was stripped. kallsyms' own tables are not among them:
 *   6.1 leaves them out, later kernels do not, and no livepatch refers to them
 */
export function readSymtab(image: KernelImage): Kallsyms | undefined {
  const { symbols } = image.elf;
  if (symbols.length === 0) return undefined;
  const kept: Entry[] = [];
  for (const symbol of symbols) {
    const type = typeOf(symbol);
    if (type !== undefined && !isLeftOut(symbol.name))
      kept.push({ name: symbol.name, type, address: symbol.st_value });
  }
  const [perCpuStart, perCpuEnd] = ['__per_cpu_start', '__per_cpu_end'].map(
    name => kept.find(entry => entry.name === name)?.address,
  );
  // With SMP per-CPU variables have addresses from 0 on, and kallsyms calls them absolute.
  if (perCpuStart === 0n && perCpuEnd !== undefined)
    for (const entry of kept) if (entry.address <= perCpuEnd) entry.type = 'A';
  kept.sort(compareEntries);
  return new Kallsyms(
    BigUint64Array.from(kept, entry => entry.address),
    packNames(kept),
  );
}

/**
 * @returns where the two tables part first, in words; undefined when the kernel's own table names the same symbols at the same
 *   addresses in the same order
 */
export function compareWithKallsyms(symtab: Kallsyms, kallsyms: Kallsyms): string | undefined {
  const own = symtab[Symbol.iterator]();
  for (const symbol of kallsyms) {
    if (isKallsymsTable(symbol.name)) continue;
    const { value, done } = own.next();
    if (done !== true && value.name === symbol.name && value.address === symbol.address) continue;
    return `kallsyms has ${show(symbol)}, the symbol table ${done === true ? 'nothing more' : show(value)}`;
  }
  const rest = own.next();
  return rest.done === true ? undefined : `the symbol table has ${show(rest.value)}, kallsyms nothing more`;
}

function show({ name, address }: KernelSymbol): string {
  return `'${name}' at 0x${address.toString(16)}`;
}

interface Entry {
  readonly name: string;
  type: string;
  readonly address: bigint;
}

/** @returns what nm prints; undefined for what nm or kallsyms leaves out: undefined, absolute, files, sections, debug sections */
function typeOf({ type, bind, st_shndx, section }: ElfSymbol): string | undefined {
  if (type === STT.FILE || type === STT.SECTION || st_shndx === SHN.ABS || section === undefined)
    return undefined;
  // In a section that is not loaded: nm knows debug sections as such, and has no letter for one that would be written to, as
  // .data_nosave is where nothing is in it. kallsyms keeps those.
  if (!hasFlag(section.sh_flags, SHF.ALLOC)) return hasFlag(section.sh_flags, SHF.WRITE) ? '?' : undefined;
  if (bind === STB.WEAK) return type === STT.OBJECT ? 'V' : 'W';
  const letter = letterOf(section.sh_type, section.sh_flags);
  return bind === STB.LOCAL ? letter : letter.toUpperCase();
}

function letterOf(type: number, flags: number): string {
  if (hasFlag(flags, SHF.EXECINSTR)) return 't';
  if (type === SHT.NOBITS) return 'b';
  return hasFlag(flags, SHF.WRITE) ? 'd' : 'r';
}

/** KSYM_NAME_LEN since 6.1, with the byte that ends the name (include/linux/kallsyms.h). */
const longestName = 512;

/** scripts/mksysmap and scripts/kallsyms.c, is_ignored_symbol(): what of it an x86 kernel can have. */
function isLeftOut(name: string): boolean {
  return (
    name === '' ||
    name.length >= longestName ||
    /^(?:\$|\.L|L0$|__crc_|__kstrtab_|__kstrtabns_|__kcfi_typeid_|__efistub_)/.test(name) ||
    isKallsymsTable(name)
  );
}

function isKallsymsTable(name: string): boolean {
  return /^kallsyms_(?:addresses|offsets|relative_base|num_syms|names|markers|token_table|token_index|seqs_of_names)$/.test(
    name,
  );
}

/** scripts/kallsyms.c, compare_symbols(); what is left undecided there keeps the order of `nm -n`, which is that of the names. */
function compareEntries(a: Entry, b: Entry): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return (
    Number(isWeak(a)) - Number(isWeak(b)) ||
    Number(isProvided(a.name)) - Number(isProvided(b.name)) ||
    underscores(a.name) - underscores(b.name) ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}

function isWeak({ type }: Entry): boolean {
  return type === 'W';
}

/** What looks as if a linker script had defined it. */
function isProvided(name: string): boolean {
  return name.length >= 8 && /^__(?:start_|stop_|end_)|^__.*(?:_start|_end)$/s.test(name);
}

function underscores(name: string): number {
  return /^_*/.exec(name)?.[0].length ?? 0;
}
