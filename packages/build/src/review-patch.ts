/**
 * From source patches to what a reviewer wants to know before signing their livepatch.
 *
 * The stages are those of a build, to its very end, so that what is said of refusals and of unloading is what a build would
 * say; nothing is written. Whatever they find, the compiled units are then looked at once more by themselves.
 */
import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { type Bundle, findCves } from '@kstitch/livepatch/bundle';
import type { Context } from '@kstitch/report/context';
import { compareDiagnostics, type Diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { readBalance } from '@kstitch/review/balance';
import { readCodeDifference } from '@kstitch/review/code-difference';
import { findHazards } from '@kstitch/review/hazards';
import type { Review, ReviewedFunction, Verdict } from '@kstitch/review/review';
import { readHunks } from '@kstitch/review/source-hunks';
import { readSources, type Side, type SourceText, sides } from '@kstitch/review/source-text';
import { StructAccesses } from '@kstitch/review/struct-access';
import { readUnitChanges, type UnitChange } from '@kstitch/review/unit-changes';
import { explainWhy, type Why } from '@kstitch/review/why';
import {
  acceptedBy,
  type BuildGround,
  type BuildRequest,
  type ChangedSource,
  type CompiledSource,
  changeSource,
  compileSource,
  makeLivepatch,
  readGround,
} from './build-livepatch.ts';
import { type Accepted, isAccepted } from './check-types.ts';
import type { ChangedUnit } from './compile/compile-changed.ts';
import { compileAll } from './compile/compile-unit.ts';
import { objectsOf } from './find-all-peers.ts';
import { type LineReader, openLineReader, type UnitLines } from './review-lines.ts';
import { findShippedUses } from './review-uses.ts';

export type ReviewRequest = Pick<
  BuildRequest,
  'patches' | 'on' | 'maxUnits' | 'acceptLayout' | 'release' | 'name'
>;

/** Units whose lines are looked for: what a header does to more is the same thing in each, and takes minutes. */
const maxUnitsWithLines = 32;

/**
 * @throws KstitchError - where the patch cannot be read or applied, the machine lacks something, or unpatched source does
 *   not compile; a patch that a build would refuse is no error here
 */
export async function reviewPatch(context: Context, request: ReviewRequest): Promise<Review> {
  const ground = await readGround(context, request.release);
  const findings: Diagnostic[] = [];
  const inner: Context = { ...context, diagnostics: findings };
  const source = await changeSource(inner, ground, request);
  return await withTemporaryDirectory('review', async work => {
    // As far as a build would get.
    const compiled = await unlessRefused(findings, () => compileSource(inner, ground, source, request, work));
    const made =
      compiled &&
      (await unlessRefused(findings, () => makeOrNothing(inner, ground, source, compiled, request, work)));
    const bundle = made === 'nothing' ? undefined : made?.bundle;

    const parts = await reviewUnits(context, ground, source, compiled?.changed ?? [], bundle, work);
    const functions = await context.progress.step('look for callers in the shipped kernel', () =>
      addUses(context, ground, parts.functions, bundle),
    );
    const verdict: Verdict =
      made === 'nothing' ? 'no difference' : bundle === undefined ? 'refused' : 'buildable';
    return {
      kernel: {
        release: ground.kernel.kit.release,
        packageVersion: ground.kernel.kit.packageVersion,
        buildId: ground.kernel.buildId,
      },
      patches: source.patch.patches,
      cves: findCves(source.patches.map(({ bytes }) => Buffer.from(bytes).toString('latin1')).join('\n')),
      verdict,
      files: source.patch.files.map(file => ({ path: file.path, hunks: readHunks(file) })),
      units: {
        affected: compiled?.commands.map(({ source: path }) => path),
        changed: (compiled?.changed ?? []).map(({ command }) => command.source),
      },
      functions,
      balance: readBalance(parts.sources),
      structs: parts.structs,
      types: typesOf(compiled?.changed ?? [], acceptedBy(request)),
      findings: findings.toSorted(compareDiagnostics),
      livepatch: bundle && {
        module: bundle.module,
        unload: bundle.unload,
        reload: bundle.reload,
        cautions: bundle.cautions,
        klpRelocations: bundle.klpRelocations,
        newSymbols: bundle.newSymbols.map(({ name }) => name),
      },
      gaps: parts.gaps,
    };
  });
}

/** @returns undefined when the stage refuses; what it found is among the findings then */
async function unlessRefused<T>(findings: Diagnostic[], stage: () => Promise<T>): Promise<T | undefined> {
  try {
    return await stage();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    findings.push(...error.diagnostics.filter(finding => !findings.includes(finding)));
    return undefined;
  }
}

async function makeOrNothing(
  context: Context,
  ground: BuildGround,
  source: ChangedSource,
  compiled: CompiledSource,
  request: ReviewRequest,
  work: string,
) {
  try {
    return await makeLivepatch(context, ground, source, compiled, request, work);
  } catch (error) {
    if (error instanceof KstitchError && error.code === 'no-functional-difference') return 'nothing';
    throw error;
  }
}

function typesOf(changed: readonly ChangedUnit[], accepted: Accepted): Review['types'] {
  const found = changed.flatMap(({ command, typeChanges }) =>
    typeChanges.map(change => ({ change, unit: command.source })),
  );
  return [...Map.groupBy(found, ({ change }) => change.text).values()].flatMap(list => {
    const [first] = list;
    if (first === undefined) return [];
    const { code, name, text, notes } = first.change;
    const judged = isAccepted(first.change, accepted) ? 'accepted' : 'refused';
    const verdict = code === 'struct-hole-used' ? 'hole' : judged;
    return [{ name, text, notes, units: list.map(({ unit }) => unit), verdict }];
  });
}

/** Everything about a function but who uses it. */
type Part = Omit<ReviewedFunction, 'uses'>;

interface Parts {
  readonly functions: readonly Part[];
  readonly structs: Review['structs'];
  readonly sources: readonly SourceText[];
  readonly gaps: readonly string[];
}

async function reviewUnits(
  context: Context,
  ground: BuildGround,
  { patch }: ChangedSource,
  changed: readonly ChangedUnit[],
  bundle: Bundle | undefined,
  work: string,
): Promise<Parts> {
  const sources = readSources(patch.files);
  const structs = new StructAccesses(sources);
  const commands = changed.map(({ command }) => command);
  const lines = await openLineReader(context, ground.kernel.kit, patch, commands, join(work, 'lines'));
  const withLines = new Set(changed.slice(0, maxUnitsWithLines));
  const jobs = changed.map(unit => ({
    label: `review ${unit.command.source}`,
    work: async () =>
      await reviewUnit({
        ground,
        unit,
        bundle,
        sources,
        structs,
        lines: withLines.has(unit) ? lines : undefined,
      }),
  }));
  const functions = (await compileAll(context, jobs)).flat();
  const left = changed.length - withLines.size;
  const gaps =
    left === 0
      ? []
      : [
          `the lines of the first ${withLines.size} units were looked for; ${left} more are explained by names alone`,
        ];
  return { functions, structs: structs.list(), sources, gaps };
}

interface UnitInput {
  readonly ground: BuildGround;
  readonly unit: ChangedUnit;
  readonly bundle: Bundle | undefined;
  readonly sources: readonly SourceText[];
  readonly structs: StructAccesses;
  readonly lines: LineReader | undefined;
}

async function reviewUnit(input: UnitInput): Promise<readonly Part[]> {
  const { ground, unit, bundle, structs, lines } = input;
  const { command } = unit;
  const inUnit = (bundle?.objects ?? []).flatMap(object =>
    object.functions.filter(one => one.unit === command.source).map(one => ({ ...one, object: object.name })),
  );
  const carriers = new Set(inUnit.filter(({ why }) => why === 'calls').map(({ name }) => name));
  const bytes = await unit.load();
  const { functions, objects } = readUnitChanges(
    command.source,
    readElf(bytes.before, `${command.object} before`),
    readElf(bytes.after, `${command.object} after`),
    x86_64,
    ground.kernel.entrySizes,
    carriers,
  );
  if (functions.length === 0) return [];

  const [before, after] = await Promise.all(sides.map(async side => await lines?.compile(command, side)));
  for (const side of [before, after]) if (side !== undefined) structs.add(side.dump);
  const parts: Part[] = [];
  for (const change of functions) {
    const why = await whyOf(change, input, { before, after });
    for (const object of objectsOf(command)) {
      parts.push({
        name: change.name,
        sourceName: change.sourceName,
        object,
        unit: command.source,
        kind: change.kind,
        redirected: bundle && inUnit.some(one => one.object === object && one.name === change.name),
        clone: change.clone,
        coldOnly: change.coldOnly,
        sizeBefore: change.before?.size,
        sizeAfter: change.after.size,
        why,
        facts: why.length > 0 ? [] : factsOf(change, unit),
        reached: change.reached,
        code: readCodeDifference(objects, change),
        hazards: findHazards(change.name, [change.before, change.coldBefore], x86_64),
      });
    }
  }
  return parts;
}

async function whyOf(
  change: UnitChange,
  { sources }: UnitInput,
  lines: Readonly<Record<Side, UnitLines | undefined>>,
): Promise<readonly Why[]> {
  if (change.kind === 'carrier') return [{ kind: 'carries', functions: change.changedCallees }];
  const chains = async (side: Side) => {
    const parts = side === 'before' ? [change.before, change.coldBefore] : [change.after, change.coldAfter];
    return (await lines[side]?.chainsOf(parts.flatMap(atom => atom?.name ?? []))) ?? [];
  };
  return explainWhy(
    {
      sourceName: change.sourceName,
      chains: { before: await chains('before'), after: await chains('after') },
      tables: change.tables,
      callees: change.callees,
    },
    sources,
  );
}

/** What is certain about a function that no changed line is in, and may help who looks for the reason. */
function factsOf(change: UnitChange, { typeChanges }: ChangedUnit): readonly string[] {
  return [
    ...typeChanges.map(({ text }) => text),
    ...change.changedCallees.map(name => `it refers to ${name}(), which changes`),
  ];
}

async function addUses(
  context: Context,
  { kernel }: BuildGround,
  parts: readonly Part[],
  bundle: Bundle | undefined,
): Promise<readonly ReviewedFunction[]> {
  const symposOf = ({ object, name, unit }: Part): number | undefined =>
    bundle?.objects
      .find(candidate => candidate.name === object)
      ?.functions.find(one => one.name === name && one.unit === unit)?.sympos;
  const wanted = parts
    .filter(({ kind }) => kind !== 'new')
    .map(part => ({ part, object: part.object, name: part.name, sympos: symposOf(part) }));
  const found = await findShippedUses(context, kernel, wanted);
  const byPart = new Map([...wanted].map(one => [one.part, found.get(one)]));
  return parts.map(part => ({ ...part, uses: byPart.get(part) }));
}
