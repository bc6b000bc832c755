/**
 * Turns the module that kbuild linked into one that livepatch can load.
 *
 * The extracted functions refer to what the kernel does not export through weak undefined symbols: the linker, objtool
 * and modpost all leave those alone, and the kernel's loader would bind them to address 0. Here each becomes a klp
 * symbol, which livepatch looks up by name, and its relocations move into the `.klp.rela.*` section of the object whose
 * load applies them. This cannot be done before the link: linkers know one relocation section for a section, and no
 * SHN_LIVEPATCH.
 *
 * Format: Documentation/livepatch/module-elf-format.rst, kernel/livepatch/core.c: klp_resolve_symbols().
 */
import { createHash } from 'node:crypto';
import { hasFlag, SHF, SHT, STB, STT } from '@kstitch/elf/constants';
import { editElf } from '@kstitch/elf/edit';
import type {
  BuilderSymbol,
  ObjectBuilder,
  RelocationEntry,
  SectionId,
  SymbolId,
} from '@kstitch/elf/object-builder';
import { readElf } from '@kstitch/elf/read';
import { writeElf } from '@kstitch/elf/write';
import { diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { formatKlpRelocationSection, formatKlpSymbol } from './klp-names.ts';
import { isNewFunctionAlias, type KlpReference, type LivepatchPlan, VMLINUX } from './plan.ts';
import { checkPlan } from './wrapper.ts';

/**
 * @param ko - the module as kbuild left it: linked, seen by objtool and modpost
 * @param plan - what was linked; its names have to be those of the extracted objects
 * @returns the livepatch module, unsigned; the same input gives the same bytes, wherever it was built
 * @throws Refusal - `livepatch-weak-undefined` for a weak undefined symbol that the plan does not know
 * @throws KstitchError - `livepatch-link-mismatch` when module and plan do not belong together, `livepatch-plan-invalid`,
 *   and what reading and writing ELF throws
 */
export function postLink(ko: Uint8Array, plan: LivepatchPlan): Uint8Array {
  checkPlan(plan);
  const { builder } = editElf(readElf(ko, `${plan.moduleName}.ko`));

  // Debug information would be most of the module, names the folders it was built in, and describes the wrapper only.
  dropUnloadedSections(builder);

  // The aliases exist so that the wrapper, another unit, could name LOCAL functions.
  resolveAliases(builder, plan);

  // Each klp symbol by the weak symbol that it takes the place of.
  const references = claimReferences(builder, plan);

  // Beyond this point no weak undefined symbol is left that the plan does not know.
  const relocated = moveRelocations(builder, references);
  dropUnused(builder, references, relocated);

  // The linker hashed debug information into the build id; what remains gets one of its own.
  return writeWithBuildId(builder, plan);
}

function dropUnloadedSections(builder: ObjectBuilder): void {
  for (const { id, name, sh_flags, content } of builder.sections()) {
    if (content.kind === 'generated' || content.kind === 'relocations') continue;
    // BTF is made against another vmlinux than the running one.
    if (hasFlag(sh_flags, SHF.ALLOC) && !name.startsWith('.BTF')) continue;
    for (const relocations of builder.relocationSectionsOf(id)) builder.removeSection(relocations.id);
    builder.removeSection(id);
  }
  for (const { id, place } of builder.symbols()) {
    if (typeof place === 'number' && !builder.hasSection(place)) builder.removeSymbol(id);
  }
}

function resolveAliases(builder: ObjectBuilder, plan: LivepatchPlan): void {
  const functions = new Map(
    plan.objects.flatMap(object => [
      ...object.functions.map(f => [f.newSymbol, f.oldName] as const),
      ...object.callbacks.map(callback => [callback.newSymbol, callback.name] as const),
    ]),
  );
  const locals = new Map(
    builder
      .symbols()
      .filter(symbol => symbol.bind === STB.LOCAL && symbol.type === STT.FUNC)
      .map(symbol => [placeKey(symbol), symbol] as const),
  );
  const targets = new Map<SymbolId, SymbolId>();
  for (const alias of builder.symbols()) {
    // objtool (--prefix) makes a prefix symbol for each function symbol, also for the alias; nothing refers to it.
    const isPrefix = alias.name.startsWith('__pfx_');
    if (!isNewFunctionAlias(isPrefix ? alias.name.slice('__pfx_'.length) : alias.name)) continue;
    if (!isPrefix) {
      const oldName = functions.get(alias.name);
      if (oldName === undefined) throw mismatch(`it defines '${alias.name}', which is not planned`);
      const local = locals.get(placeKey({ ...alias, name: oldName }));
      if (local === undefined)
        throw mismatch(`'${alias.name}' is not at the place of a local function '${oldName}'`);
      targets.set(alias.id, local.id);
      functions.delete(alias.name);
    }
    builder.removeSymbol(alias.id);
  }
  const [missing] = functions.keys();
  if (missing !== undefined) throw mismatch(`it lacks '${missing}'`);
  for (const entry of relocationsOf(builder)) {
    const target = entry.symbol === undefined ? undefined : targets.get(entry.symbol);
    if (target !== undefined) entry.symbol = target;
  }
}

function placeKey({ name, place, st_value }: Pick<BuilderSymbol, 'name' | 'place' | 'st_value'>): string {
  return `${typeof place === 'number' ? place : '-'} ${st_value} ${name}`;
}

interface ClaimedReference {
  /** The klp symbol; two weak symbols of one meaning share it. */
  readonly symbol: SymbolId;
  readonly gate: string;
}

function claimReferences(builder: ObjectBuilder, plan: LivepatchPlan): Map<SymbolId, ClaimedReference> {
  const planned = new Map(plan.references.map(reference => [reference.linkName, reference]));
  const klpSymbols = new Map<string, SymbolId>();
  const claimed = new Map<SymbolId, ClaimedReference>();
  const unplanned: string[] = [];
  for (const symbol of builder.symbols()) {
    if (symbol.bind === STB.LOCAL) continue;
    const reference = planned.get(symbol.name);
    if (reference === undefined) {
      if (symbol.place === 'undefined' && symbol.bind === STB.WEAK) unplanned.push(symbol.name);
      continue;
    }
    if (symbol.place !== 'undefined')
      throw mismatch(`it defines '${symbol.name}', which is to be looked up in '${reference.object}'`);
    const name = formatKlpSymbol(reference);
    const shared = klpSymbols.get(name) ?? symbol.id;
    klpSymbols.set(name, shared);
    claimed.set(symbol.id, { symbol: shared, gate: gateOf(reference) });
    symbol.name = name;
    symbol.place = 'livepatch';
    symbol.bind = STB.GLOBAL;
  }
  stopOnRefusals(
    unplanned.map(name =>
      diagnostic(
        'livepatch-weak-undefined',
        { object: plan.moduleName, symbol: name },
        `nothing says where '${name}' is: the kernel would load the livepatch with address 0 in its place`,
      ),
    ),
  );
  return claimed;
}

/** The kernel refuses a symbol of vmlinux in a section that a module gates: it is always there, so nothing gates it. */
function gateOf({ object, gate }: KlpReference): string {
  return object === VMLINUX ? VMLINUX : gate;
}

/** @returns every klp symbol that has relocations */
function moveRelocations(
  builder: ObjectBuilder,
  references: ReadonlyMap<SymbolId, ClaimedReference>,
): Set<SymbolId> {
  const relocated = new Set<SymbolId>();
  for (const { id, content } of builder.sections()) {
    if (content.kind !== 'relocations') continue;
    const kept: RelocationEntry[] = [];
    const byGate = new Map<string, RelocationEntry[]>();
    for (const entry of content.entries) {
      const reference = entry.symbol === undefined ? undefined : references.get(entry.symbol);
      if (reference === undefined) {
        kept.push(entry);
        continue;
      }
      relocated.add(reference.symbol);
      const moved = { ...entry, symbol: reference.symbol };
      const others = byGate.get(reference.gate);
      if (others === undefined) byGate.set(reference.gate, [moved]);
      else others.push(moved);
    }
    if (byGate.size === 0) continue;
    addKlpSections(builder, content.target, byGate);
    if (kept.length > 0) content.entries.splice(0, Infinity, ...kept);
    else builder.removeSection(id);
  }
  return relocated;
}

function addKlpSections(
  builder: ObjectBuilder,
  target: SectionId,
  byGate: ReadonlyMap<string, RelocationEntry[]>,
): void {
  const { name } = builder.section(target);
  for (const [gate, entries] of [...byGate].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    builder.addSection({
      name: formatKlpRelocationSection(gate, name),
      sh_type: SHT.RELA,
      sh_flags: SHF.ALLOC | SHF.INFO_LINK | SHF.RELA_LIVEPATCH,
      sh_addralign: 8,
      sh_entsize: 24,
      content: { kind: 'relocations', target, entries },
    });
  }
}

/** Some references served objtool alone (`__SCK__x` of a static call that has no site), some share a klp symbol. */
function dropUnused(
  builder: ObjectBuilder,
  references: ReadonlyMap<SymbolId, ClaimedReference>,
  relocated: ReadonlySet<SymbolId>,
): void {
  for (const id of references.keys()) {
    if (!relocated.has(id)) builder.removeSymbol(id);
  }
}

function relocationsOf(builder: ObjectBuilder): RelocationEntry[] {
  return builder.sections().flatMap(({ content }) => (content.kind === 'relocations' ? content.entries : []));
}

const buildIdSection = '.note.gnu.build-id';

function writeWithBuildId(builder: ObjectBuilder, plan: LivepatchPlan): Uint8Array {
  for (const section of builder.sectionsNamed(buildIdSection)) {
    if (section.content.kind !== 'bytes') continue;
    const bytes = Uint8Array.from(section.content.bytes);
    buildIdOf(bytes).fill(0);
    section.content = { kind: 'bytes', bytes };
  }
  const written = writeElf(builder);
  const digest = createHash('sha256').update(written).digest();
  for (const { name, bytes } of readElf(written, `${plan.moduleName}.ko`).sections) {
    if (name !== buildIdSection) continue;
    const id = buildIdOf(bytes);
    id.set(digest.subarray(0, id.length));
  }
  return written;
}

/** @returns a view of the descriptor of the section's only note: 12 bytes of sizes and type, then `GNU\0` */
function buildIdOf(note: Uint8Array): Uint8Array {
  return note.subarray(16);
}

function mismatch(problem: string): KstitchError {
  return new KstitchError(
    'livepatch-link-mismatch',
    `cannot make a livepatch of the linked module: ${problem}`,
  );
}
