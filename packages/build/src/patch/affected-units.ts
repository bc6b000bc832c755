/**
 * Which units a patch affects: those of the .c files that it changes, and those that include a changed file.
 *
 * Which files may include which is read from the text of the source (source-index.ts), which finds too many; the compiler is
 * asked about each of those. The change of a header that reaches further than kernel code is refused (header-effects.ts).
 */
import { basename } from 'node:path';
import { withTemporaryDirectory } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { CompileDatabase } from '../compile/compile-database.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { layOutPatchedTree } from '../compile/patched-tree.ts';
import type { UnitCommand } from '../compile/unit-command.ts';
import type { AppliedPatch, ChangedFile } from './apply-patch.ts';
import { findCertainIncluders } from './certain-includers.ts';
import { confirmIncluders } from './confirm-includers.ts';
import { findHeaderEffects } from './header-effects.ts';
import { readIncludes } from './include-lines.ts';
import type { KbuildRecord } from './kbuild-records.ts';
import { outsideBuild } from './outside-build.ts';
import { openSourceIndex, type SourceIndex } from './source-index.ts';

export interface AffectedUnitsOptions {
  /** More affected units than this are refused. */
  readonly maxUnits?: number;
}

/** Units that a patch may affect unless more are asked for: three compilations each, ten minutes on two cores. */
export const defaultMaxUnits = 200;

/** What the changed files mean for a kernel, before the compiler is asked. */
interface Reach {
  /** Compiled from a changed file. */
  readonly own: Map<string, UnitCommand>;
  /** May include a changed file. */
  readonly includers: Map<string, UnitCommand>;
  /** Assembly and units of other images that may include a changed file. */
  readonly outOfReach: Map<string, UnitCommand>;
  readonly records: Set<KbuildRecord>;
  /** The changed files that are included. */
  readonly included: Set<string>;
  readonly ignored: { readonly path: string; readonly why: string }[];
  readonly findings: Diagnostic[];
}

/**
 * @returns the units of kernel code that have to be compiled anew, sorted by source
 * @throws Refusal - `patch-assembly`, `patch-changes-build`, `patch-outside-kernel`, `header-reaches-assembly`,
 *   `header-reaches-image`, `header-reaches-offsets`, `header-reaches-generator`, all of the patch together; `too-many-units`
 * @throws KstitchError - `patch-touches-nothing-built`
 */
export async function findAffectedUnits(
  context: Context,
  kit: KernelTree,
  database: CompileDatabase,
  patch: AppliedPatch,
  { maxUnits = defaultMaxUnits }: AffectedUnitsOptions = {},
): Promise<readonly UnitCommand[]> {
  const index = await openSourceIndex(context, kit, database);
  const reach = reachOf(index, database, patch);
  const { own, includers, outOfReach, records, included, ignored, findings } = reach;

  // Text alone may tell that there are too many, and the compiler need not be asked about anything.
  if (own.size + includers.size > maxUnits) {
    const certain = await findCertainIncluders(kit.paths.tree, index.graph, database, included, maxUnits);
    const found = new Map([...own.values(), ...certain].map(unit => [unit.object, unit]));
    // What the patch changes itself is in the list in any case.
    const units = [...found.values()].slice(0, Math.max(own.size, maxUnits + 1));
    if (units.length > maxUnits) stopOnRefusals([...findings, tooMany(reach, sorted(units), maxUnits)]);
  }

  // What no livepatch reaches comes first: it ends the run whatever else the patch does.
  if (outOfReach.size > 0 || records.size > 0) {
    const units = sorted(outOfReach.values());
    const effects = await withTemporaryDirectory('effects', async shadow => {
      await layOutPatchedTree(kit, shadow, patch, index.graph, units);
      return await findHeaderEffects(context, kit, shadow, included, { units, records: [...records] });
    });
    findings.push(...effects);
  }
  stopOnRefusals(findings);

  const unsure = sorted([...includers.values()].filter(unit => !own.has(unit.object)));
  const confirmed = await confirmIncluders(context, kit, included, unsure, maxUnits - own.size);
  const units = sorted([...own.values(), ...confirmed]);
  if (units.length > maxUnits) stopOnRefusals([tooMany(reach, units, maxUnits)]);

  const notes = ignored.map(({ path, why }) => `'${path}' is not compiled: ${why}`);
  if (units.length === 0) {
    throw new KstitchError(
      'patch-touches-nothing-built',
      `no file of the patch is compiled for ${kit.release}`,
      { notes },
    );
  }
  context.diagnostics.push(...findings);
  for (const [i, { path }] of ignored.entries()) {
    context.diagnostics.push(diagnostic('patch-file-ignored', { file: path }, notes[i] ?? ''));
  }
  return units;
}

function reachOf(index: SourceIndex, database: CompileDatabase, patch: AppliedPatch): Reach {
  const reach: Reach = {
    own: new Map(),
    includers: new Map(),
    outOfReach: new Map(),
    records: new Set(),
    included: new Set(),
    ignored: [],
    findings: [],
  };
  for (const file of patch.files) {
    const why = outsideBuild(file.path);
    if (why !== undefined) reach.ignored.push({ path: file.path, why });
    else if (file.before === undefined) addNewFile(reach, patch, file);
    else addChangedFile(reach, index, database, file);
  }
  return reach;
}

/** A new file is part of the kernel when a changed one includes it: through that its units are found. */
function addNewFile({ findings }: Reach, patch: AppliedPatch, { path }: ChangedFile): void {
  const place = { file: path };
  if (path.endsWith('.h')) return;
  const isIncluded = patch.files.some(({ after = '' }) =>
    readIncludes(after).some(line => basename(line.name) === basename(path)),
  );
  if (/\.[cS]$/.test(path)) {
    if (isIncluded) return;
    findings.push(
      diagnostic(
        'patch-changes-build',
        place,
        `'${path}' is new, and this flavour has no rule that builds it`,
      ),
    );
  } else findings.push(decidesBuild(path));
}

function addChangedFile(
  reach: Reach,
  index: SourceIndex,
  database: CompileDatabase,
  { path, after }: ChangedFile,
): void {
  const { own, includers, outOfReach, findings } = reach;
  const place = { file: path };
  const compiled = database.unitsFrom(path);
  const foreign = database.foreignUnitsFrom(path);
  const including = index.graph.includersOf(path).filter(source => database.has(source));
  const records = index.records.filter(record => record.inputs.includes(path));
  const isSource = /\.[cS]$/.test(path);
  if (compiled.length + foreign.length + including.length + records.length === 0) {
    const isHeader = path.endsWith('.h');
    if (isHeader) reach.ignored.push({ path, why: 'no unit of this flavour includes it' });
    else if (isSource) reach.ignored.push({ path, why: 'this flavour leaves it out' });
    else findings.push(decidesBuild(path));
    return;
  }

  const partOf = foreign[0]?.partOf;
  if (partOf !== undefined && compiled.length === 0) {
    findings.push(diagnostic('patch-outside-kernel', place, `'${path}' becomes part of ${partOf}`));
  } else if (partOf !== undefined) {
    findings.push(diagnostic('patch-second-copy', place, `'${path}' is also part of ${partOf}`));
  }
  if (compiled.some(unit => unit.kind === 'asm')) {
    findings.push(diagnostic('patch-assembly', place, `'${path}' is assembly`));
  } else if (after === undefined && compiled.length > 0) {
    findings.push(diagnostic('patch-changes-build', place, `'${path}' is taken out of the kernel`));
  }
  for (const unit of compiled) own.set(unit.object, unit);

  if (including.length + records.length > 0) reach.included.add(path);
  for (const source of including) {
    for (const unit of database.unitsFrom(source)) {
      (unit.kind === 'asm' ? outOfReach : includers).set(unit.object, unit);
    }
    for (const { unit } of database.foreignUnitsFrom(source)) outOfReach.set(unit.object, unit);
  }
  for (const record of records) reach.records.add(record);
}

function decidesBuild(path: string): Diagnostic {
  const text = `'${path}' decides what is built, not what a function does`;
  return diagnostic('patch-changes-build', { file: path }, text);
}

function tooMany(
  { own, includers, outOfReach, included }: Reach,
  units: readonly UnitCommand[],
  maxUnits: number,
): Diagnostic {
  const candidates = new Set([...own.keys(), ...includers.keys()]).size;
  const headers = [...included].map(path => `'${path}'`).join(', ');
  const notes = units.map(unit => unit.source);
  if (candidates > units.length) notes.push(`the search ended here: at most ${candidates} units include it`);
  if (outOfReach.size > 0)
    notes.push(
      `${outOfReach.size} units of assembly and of other images may include it too, and no livepatch reaches those`,
    );
  const text = `more than ${maxUnits} units include ${headers === '' ? 'what the patch changes' : headers}`;
  return diagnostic('too-many-units', { file: [...included][0] ?? '' }, text, { notes });
}

function sorted(units: Iterable<UnitCommand>): readonly UnitCommand[] {
  const keyOf = ({ source, object }: UnitCommand) => `${source} ${object}`;
  return [...units].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}
