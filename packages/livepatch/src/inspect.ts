/** What a livepatch module says about itself, whoever built it: for `kstitch inspect`, without the kernel it is for. */
import { SHN, SHT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { buildId } from '@kstitch/elf/notes';
import { readElf } from '@kstitch/elf/read';
import { type Modinfo, readModinfo } from '@kstitch/kernel/modinfo';
import { KstitchError } from '@kstitch/report/error';
import { type DecodedPatch, decodeKlpPatch } from './klp-arrays.ts';
import { type KlpSymbol, parseKlpSymbol } from './klp-names.ts';
import { splitSignature } from './module-signature.ts';
import { readModuleVersions } from './module-versions.ts';
import { type RelocatedModule, readRelocatedModule } from './relocated-module.ts';

export interface LivepatchReport {
  /** The module's name, as `/proc/modules` shows it. */
  readonly name: string;
  /** Kernel release that it was built for, from its vermagic. */
  readonly release: string;
  readonly vermagic: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly srcversion: string | undefined;
  /** Lower-case hex. */
  readonly buildId: string | undefined;
  readonly depends: readonly string[];
  /** What it patches; undefined for modules that find out when they run (kpatch, klp-build). */
  readonly patch: DecodedPatch | undefined;
  readonly klpSymbols: readonly (KlpSymbol & { readonly relocations: number })[];
  /** Relocations that livepatch carries out, by the object whose load starts them and the section they are in. */
  readonly klpRelocations: readonly {
    readonly gate: string;
    readonly section: string;
    readonly count: number;
  }[];
  readonly specialSections: readonly { readonly name: string; readonly entries: number }[];
  /** Exports of the kernel that it links to; the CRC is undefined without module versions. */
  readonly exportedSymbols: readonly { readonly name: string; readonly crc: number | undefined }[];
  /** How loading it taints the kernel (Documentation/admin-guide/tainted-kernels.rst). */
  readonly taints: readonly { readonly flag: string; readonly reason: string }[];
  readonly signed: boolean;
  /** Of the whole file, in bytes. */
  readonly size: number;
}

/**
 * @param bytes - a .ko, signed or not
 * @param what - the file's name, for messages
 * @throws KstitchError - `livepatch-not-elf-module`, `livepatch-not-livepatch`, `livepatch-signature-malformed`, and what
 *   reading ELF throws for a file that is none or is cut off
 */
export function inspectLivepatch(bytes: Uint8Array, what: string): LivepatchReport {
  const { unsigned, signature } = splitSignature(bytes, what);
  const file = readElf(unsigned, what);
  const modinfo = readLivepatchModinfo(file);
  const module = readRelocatedModule(file);
  const vermagic = modinfo.get('vermagic') ?? '';
  return {
    name: modinfo.get('name') ?? '',
    release: vermagic.split(' ', 1)[0] ?? '',
    vermagic,
    description: utf8(modinfo.get('description')),
    license: modinfo.get('license'),
    srcversion: modinfo.get('srcversion'),
    buildId: buildId(file),
    depends: modinfo.depends,
    patch: decodeKlpPatch(file),
    klpSymbols: klpSymbolsOf(module),
    klpRelocations: module.groups.flatMap(({ gate, target, entries }) =>
      gate === undefined ? [] : [{ gate, section: target.name, count: entries.length }],
    ),
    specialSections: specialSectionsOf(module),
    exportedSymbols: exportedSymbolsOf(file),
    taints: taintsOf(modinfo, signature !== undefined),
    signed: signature !== undefined,
    size: bytes.length,
  };
}

function readLivepatchModinfo(file: ElfFile): Modinfo {
  const refuse = (problem: string) =>
    new KstitchError(
      'livepatch-not-elf-module',
      `cannot inspect '${file.what}': not a kernel module, ${problem}`,
    );
  for (const needed of ['.modinfo', '.gnu.linkonce.this_module']) {
    if (!file.sections.some(section => section.name === needed))
      throw refuse(`it has no section '${needed}'`);
  }
  const modinfo = readModinfo(file);
  if (modinfo.get('vermagic') === undefined) throw refuse('its modinfo has no vermagic');
  if (modinfo.get('livepatch') === undefined)
    throw new KstitchError(
      'livepatch-not-livepatch',
      `cannot inspect '${file.what}': module '${modinfo.get('name') ?? ''}' is not a livepatch`,
    );
  return modinfo;
}

function klpSymbolsOf({ file, groups }: RelocatedModule): (KlpSymbol & { relocations: number })[] {
  const counts = new Map<number, number>();
  for (const { entries } of groups) {
    for (const { r_sym } of entries) counts.set(r_sym, (counts.get(r_sym) ?? 0) + 1);
  }
  return file.symbols.flatMap(({ index, name, st_shndx }) => {
    const klp = st_shndx === SHN.LIVEPATCH ? parseKlpSymbol(name) : undefined;
    return klp === undefined ? [] : [{ ...klp, relocations: counts.get(index) ?? 0 }];
  });
}

/** How many relocations each entry has: entries are counted by them, for their sizes differ from kernel to kernel. */
const relocationsPerEntry: ReadonlyMap<string, number> = new Map([
  ['.altinstructions', 2],
  ['.call_sites', 1],
  ['.ibt_endbr_seal', 1],
  ['.orc_unwind_ip', 1],
  ['.parainstructions', 1],
  ['.retpoline_sites', 1],
  ['.return_sites', 1],
  ['.smp_locks', 1],
  ['.static_call_sites', 2],
  ['__bug_table', 2],
  ['__ex_table', 2],
  ['__jump_table', 3],
  ['__mcount_loc', 1],
]);

const relocationNone = 0;

function specialSectionsOf({ file, groups }: RelocatedModule): { name: string; entries: number }[] {
  return file.sections
    .flatMap(({ index, name, sh_type }) => {
      const each = relocationsPerEntry.get(name);
      if (each === undefined || sh_type === SHT.RELA) return [];
      const relocations = groups
        .filter(({ target }) => target.index === index)
        .flatMap(({ entries }) => entries.filter(({ r_type }) => r_type !== relocationNone));
      return [{ name, entries: Math.floor(relocations.length / each) }];
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function exportedSymbolsOf(file: ElfFile): { name: string; crc: number | undefined }[] {
  const versions = readModuleVersions(file);
  return file.symbols
    .filter(({ name, st_shndx }) => st_shndx === SHN.UNDEF && name !== '')
    .map(({ name }) => ({ name, crc: versions?.get(name) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function taintsOf(modinfo: Modinfo, signed: boolean): LivepatchReport['taints'] {
  return [
    { flag: 'K', reason: 'it is a livepatch' },
    ...(modinfo.get('intree') !== undefined
      ? []
      : [{ flag: 'O', reason: 'it was built outside of the kernel tree' }]),
    ...(signed ? [] : [{ flag: 'E', reason: 'it is not signed' }]),
  ];
}

/** Modinfo is read byte by byte; what people write there is UTF-8. */
function utf8(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text, 'latin1').toString('utf8');
}
