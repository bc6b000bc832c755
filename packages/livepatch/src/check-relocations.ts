import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF, SHN } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { parseKlpSymbol } from './klp-names.ts';
import { VMLINUX } from './plan.ts';
import { type RelocatedModule, type RelocationGroup, showPlace } from './relocated-module.ts';

/**
 * What the kernel demands of relocations before it carries them out (arch/x86/kernel/module.c: apply_relocate_add(),
 * kernel/livepatch/core.c: klp_resolve_symbols(), klp_write_section_relocs()).
 */
export function checkRelocations(module: RelocatedModule): Diagnostic[] {
  const loaded = module.groups.filter(({ target }) => hasFlag(target.sh_flags, SHF.ALLOC));
  return [
    ...loaded.flatMap(checkFields),
    ...checkFieldsOnce(loaded),
    ...loaded.flatMap(group => checkGate(module, group)),
    ...loaded.flatMap(checkTime),
  ];
}

function checkFields({ target, source, entries }: RelocationGroup): Diagnostic[] {
  const findings: Diagnostic[] = [];
  for (const { r_offset, r_type } of entries) {
    const place = { section: target.name, offset: r_offset };
    const kind = x86_64.relocation(r_type);
    if (kind === undefined || r_offset + kind.size > target.sh_size) {
      findings.push(
        diagnostic(
          'livepatch-relocation-unknown',
          place,
          `'${source.name}' has a relocation of type ${r_type} at '${showPlace(target, r_offset)}'${
            kind === undefined ? '' : ', which reaches beyond the section'
          }`,
        ),
      );
      continue;
    }
    const field = target.bytes.subarray(r_offset, r_offset + kind.size);
    if (field.some(byte => byte !== 0)) {
      findings.push(
        diagnostic(
          'livepatch-relocation-field',
          place,
          `'${showPlace(target, r_offset)}' is relocated and holds ${showBytes(field)}, not zero`,
        ),
      );
    }
  }
  return findings;
}

function checkFieldsOnce(groups: readonly RelocationGroup[]): Diagnostic[] {
  const findings: Diagnostic[] = [];
  for (const sameTarget of Map.groupBy(groups, ({ target }) => target.index).values()) {
    const fields = sameTarget
      .flatMap(({ target, source, entries }) =>
        entries.map(({ r_offset, r_type }) => ({
          target,
          source,
          r_offset,
          end: r_offset + (x86_64.relocation(r_type)?.size ?? 0),
        })),
      )
      .filter(({ r_offset, end }) => end > r_offset)
      .toSorted((a, b) => a.r_offset - b.r_offset);
    for (const [index, field] of fields.entries()) {
      const next = fields[index + 1];
      if (next === undefined || next.r_offset >= field.end) continue;
      findings.push(
        diagnostic(
          'livepatch-relocation-twice',
          { section: field.target.name, offset: next.r_offset },
          `'${showPlace(field.target, next.r_offset)}' is relocated by '${field.source.name}' and '${next.source.name}'`,
        ),
      );
    }
  }
  return findings;
}

function checkGate({ file }: RelocatedModule, group: RelocationGroup): Diagnostic[] {
  const { source, gate, entries } = group;
  const isKlp = hasFlag(source.sh_flags, SHF.RELA_LIVEPATCH);
  const malformed = (text: string) =>
    diagnostic('livepatch-klp-symbol-malformed', { section: source.name }, text);
  if (isKlp !== (gate !== undefined))
    return [malformed(`'${source.name}' ${isKlp ? 'names no object' : 'lacks the flag SHF_RELA_LIVEPATCH'}`)];
  const findings = new Map<number, Diagnostic>();
  for (const { r_sym } of entries) {
    const symbol = file.symbols[r_sym];
    if (symbol === undefined || findings.has(r_sym)) continue;
    const klp = parseKlpSymbol(symbol.name);
    if ((symbol.st_shndx === SHN.LIVEPATCH) !== isKlp)
      findings.set(
        r_sym,
        malformed(
          isKlp
            ? `'${source.name}' relocates with '${symbol.name}', which is no klp symbol`
            : `'${source.name}' relocates with klp symbol '${symbol.name}', which only livepatch can resolve`,
        ),
      );
    else if (klp?.object === VMLINUX && gate !== undefined && gate !== VMLINUX)
      findings.set(r_sym, malformed(`'${symbol.name}' of vmlinux is gated by module '${gate}'`));
  }
  return [...findings.values()];
}

/**
 * Read by module_finalize() and the module notifiers, that is before the init function of the livepatch enables it and
 * the relocations of its module objects are applied.
 */
const readAtLoad: ReadonlySet<string> = new Set([
  '.altinstructions',
  '.altinstr_replacement',
  '.altinstr_aux',
  '.parainstructions',
  '.smp_locks',
  '.retpoline_sites',
  '.return_sites',
  '.call_sites',
  '.ibt_endbr_seal',
  '.orc_unwind_ip',
  '.static_call_sites',
  '__jump_table',
  '__mcount_loc',
  '__bug_table',
  '__ex_table',
  '.gnu.linkonce.this_module',
]);

function checkTime({ target, gate }: RelocationGroup): Diagnostic[] {
  if (gate === undefined || gate === VMLINUX || !readAtLoad.has(target.name)) return [];
  return [
    diagnostic(
      'livepatch-late-relocation',
      { object: gate, section: target.name },
      `'${target.name}' waits for module '${gate}', but the kernel reads it before`,
    ),
  ];
}

function showBytes(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(' ');
}
