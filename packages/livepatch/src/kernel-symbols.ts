/** Finds symbols in the shipped kernel by the rule that livepatch will use when it loads the module. */
import { STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { moduleFtraceSites } from '@kstitch/kernel/ftrace-sites';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { KernelWorld } from './kernel-world.ts';
import type { KlpSymbol } from './klp-names.ts';
import { VMLINUX } from './plan.ts';

export interface FoundSymbol {
  readonly isFunction: boolean;
  /** Whether livepatch can redirect it: there is an ftrace site at its start. */
  readonly isTraceable: () => boolean;
}

/** In bytes, of the instruction that begins a function whose address is taken when the kernel is built with IBT. */
const endbrSize = 4;

/**
 * kernel/livepatch/core.c: klp_find_object_symbol(). In vmlinux symbols are counted by ascending address, in a module in
 * the order of its symbol table.
 *
 * @returns the symbol, or why livepatch will not find it or must not use it
 */
export function findKernelSymbol(world: KernelWorld, symbol: KlpSymbol): FoundSymbol | Diagnostic {
  if (symbol.object === VMLINUX) return findInVmlinux(world, symbol);
  const module = world.shippedModule(symbol.object);
  if (module === undefined)
    return diagnostic(
      'livepatch-object-unknown',
      { object: symbol.object },
      `kernel ${world.release} ships no module '${symbol.object}'`,
    );
  return findInModule(module, symbol);
}

function findInVmlinux({ kallsyms, ftraceSites }: KernelWorld, symbol: KlpSymbol): FoundSymbol | Diagnostic {
  const found = pick(kallsyms.named(symbol.name), symbol);
  if ('code' in found) return found;
  const { address, type } = found;
  const [initBegin] = kallsyms.named('__init_begin');
  const [initEnd] = kallsyms.named('__init_end');
  if (initBegin !== undefined && initEnd !== undefined) {
    if (address >= initBegin.address && address < initEnd.address)
      return initFinding(symbol, 'which is freed after boot');
  }
  return {
    isFunction: /^[tw]$/i.test(type),
    isTraceable: () => ftraceSites.has(address) || ftraceSites.has(address + BigInt(endbrSize)),
  };
}

function findInModule(module: ElfFile, symbol: KlpSymbol): FoundSymbol | Diagnostic {
  const candidates = module.symbols.flatMap(({ name, section, type, st_value }) =>
    name === symbol.name && section !== undefined ? [{ section, type, st_value }] : [],
  );
  const found = pick(candidates, symbol);
  if ('code' in found) return found;
  // Once init memory is freed, its symbols are no longer counted (kernel/module/kallsyms.c: is_core_symbol()).
  if (isInitSection(found.section.name)) return initFinding(symbol, "which is freed after the module's init");
  const init = candidates.find(({ section }) => isInitSection(section.name));
  if (init !== undefined)
    return diagnostic(
      'livepatch-symbol-moves',
      { object: symbol.object, symbol: symbol.name },
      `'${symbol.object}' has symbol '${symbol.name}' in '${init.section.name}' and in '${found.section.name}': its rank changes after init`,
    );
  const start = Number(found.st_value);
  return {
    isFunction: found.type === STT.FUNC,
    isTraceable: () =>
      moduleFtraceSites(module).some(
        ({ section, offset }) =>
          section === found.section.index && (offset === start || offset === start + endbrSize),
      ),
  };
}

function isInitSection(name: string): boolean {
  return name.startsWith('.init');
}

function pick<T extends object>(
  candidates: readonly T[],
  { object, name, sympos }: KlpSymbol,
): T | Diagnostic {
  const place = { object, symbol: name };
  const [first] = candidates;
  if (first === undefined)
    return diagnostic('livepatch-symbol-missing', place, `'${object}' has no symbol named '${name}'`);
  const count = candidates.length;
  if (sympos === 0) {
    if (count === 1) return first;
    const text = `'${object}' has ${count} symbols named '${name}' and sympos 0 names none of them`;
    return diagnostic('livepatch-symbol-ambiguous', place, text);
  }
  const found = candidates[sympos - 1];
  if (found !== undefined) return found;
  const symbols = count === 1 ? '1 symbol' : `${count} symbols`;
  return diagnostic(
    'livepatch-symbol-missing',
    place,
    `'${object}' has ${symbols} named '${name}', not ${sympos}`,
  );
}

function initFinding({ object, name }: KlpSymbol, when: string): Diagnostic {
  return diagnostic(
    'livepatch-symbol-init',
    { object, symbol: name },
    `'${object}' has '${name}' in init memory, ${when}`,
  );
}
