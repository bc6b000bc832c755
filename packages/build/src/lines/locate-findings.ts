/**
 * Locate: the source lines of findings.
 *
 * The differ knows functions and offsets. A unit that something was found in is compiled once more with debug information,
 * the patched source as its author wrote it: without the `#line` directives that let untouched lines keep their numbers.
 * `__LINE__` is another there, so a line is believed only where the function has the same instructions at the same
 * offsets as the one that was judged. What speaks against the unpatched unit gets lines of the unpatched source.
 *
 * Nobody waits for this who has no findings.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { isNumbered } from '@kstitch/diff/unit/names';
import { STT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { fileError, withTemporaryDirectory } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import type { Diagnostic, Place } from '@kstitch/report/diagnostic';
import type { ChangedUnit } from '../compile/compile-changed.ts';
import { loadCompileDatabase } from '../compile/compile-database.ts';
import { compileAll, sectionFlags } from '../compile/compile-unit.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { layOutPatchedTree } from '../compile/patched-tree.ts';
import type { UnitObjects } from '../compile/unit-compiler.ts';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { openSourceIndex } from '../patch/source-index.ts';
import { DebugObject, type SourceLine } from './debug-object.ts';

export interface FindingGround {
  readonly kit: KernelTree;
  readonly patch: AppliedPatch;
  readonly changed: readonly ChangedUnit[];
}

/** What a header does to more units than this is the same thing in each; all of them would take minutes. */
const maxUnits = 16;

/** The finding's place, with file and line, and how the code came there. */
interface Located {
  readonly place: Place;
  readonly notes: readonly string[];
}

/**
 * @param findings - in any order; those without a unit and a symbol are handed back as they are, and so are notes
 * @returns the findings, in their order, with the source line where that is certain, of the first {@link maxUnits} units
 */
export async function locateFindings(
  context: Context,
  ground: FindingGround,
  findings: readonly Diagnostic[],
): Promise<readonly Diagnostic[]> {
  const wanted = findings.filter(isWanted);
  const units = ground.changed
    .filter(({ command }) => wanted.some(({ place }) => place.unit === command.source))
    .slice(0, maxUnits);
  if (units.length === 0) return findings;

  // A finding without its line is worth more than an error about the line.
  const located = await withTemporaryDirectory('lines', directory =>
    locateUnits(context, ground, units, wanted, directory),
  ).catch((error: unknown) => {
    if (context.signal.aborted) throw error;
    return new Map<Diagnostic, Located>();
  });
  return findings.map(finding => {
    const found = located.get(finding);
    return found === undefined
      ? finding
      : { ...finding, place: found.place, notes: [...finding.notes, ...found.notes] };
  });
}

function isWanted({ severity, place: { unit, symbol, offset, line } }: Diagnostic): boolean {
  if (severity === 'note' || unit === undefined || symbol === undefined || line !== undefined) return false;
  // A build that comes to its end does not wait for the line on which a function begins.
  if (severity === 'caution' && offset === undefined) return false;
  // `__UNIQUE_ID_foo337`: another one may bear the number in the other object.
  return symbol.includes('.') || !isNumbered(symbol);
}

async function locateUnits(
  context: Context,
  { kit, patch }: FindingGround,
  units: readonly ChangedUnit[],
  findings: readonly Diagnostic[],
  directory: string,
): Promise<ReadonlyMap<Diagnostic, Located>> {
  const shadow = join(directory, 'source');
  await mkdir(shadow).catch((error: unknown) => {
    throw fileError(`make '${shadow}'`, error);
  });
  const { graph } = await openSourceIndex(context, kit, await loadCompileDatabase(kit));
  const commands = units.map(({ command }) => command);
  await layOutPatchedTree(kit, shadow, patch, graph, commands, 'as they stand');

  const files = new Set(patch.files.map(({ path }) => path));
  const views: readonly View[] = [
    { of: 'after', cwd: shadow, extraFlags: sectionFlags, files, notes: [] },
    { of: 'before', cwd: kit.paths.tree, extraFlags: sectionFlags, files: none, notes: [unpatched] },
    { of: 'asShipped', cwd: kit.paths.tree, extraFlags: [], files: none, notes: [unpatched] },
  ];
  const jobs = units.map((unit, i) => ({
    label: `find the lines in ${unit.command.source}`,
    work: async () => {
      const output = join(directory, `${i}.o`);
      const objects = await unit.load();
      const located = new Map<Diagnostic, Located>();
      for (const view of views) {
        const judged = readElf(objects[view.of], unit.command.object);
        const own = findings.filter(
          finding =>
            finding.place.unit === unit.command.source &&
            !located.has(finding) &&
            isSeenIn(view, finding) &&
            symbolOf(finding.place, judged) !== undefined,
        );
        if (own.length === 0) continue;
        const { cwd, extraFlags } = view;
        const patched = view.of === 'after';
        const { workshop } = kit;
        const how = { workshop, cwd, output, extraFlags, patched };
        const debug = await DebugObject.compile(context, unit.command, how);
        for (const finding of own) {
          const found = await locate(view, debug, judged, finding.place);
          if (found !== undefined) located.set(finding, found);
        }
      }
      return [...located];
    },
  }));
  return new Map((await compileAll(context, jobs)).flat());
}

/** One of a unit's objects, and how to compile it with lines. */
interface View {
  readonly of: keyof UnitObjects;
  readonly cwd: string;
  readonly extraFlags: readonly string[];
  /** What the patch changes. */
  readonly files: ReadonlySet<string>;
  readonly notes: readonly string[];
}

const none: ReadonlySet<string> = new Set();
const unpatched = 'the line is one of the unpatched source';

/** Offsets are those of the object that a stage looked at; what only has a name may have gone with the patch. */
function isSeenIn({ of }: View, { code, place }: Diagnostic): boolean {
  if (code.startsWith('run-pre-')) return of === 'asShipped';
  if (code === 'inlining-differs') return of === 'before';
  return of === 'after' || (of === 'before' && place.offset === undefined);
}

function symbolOf({ symbol }: Place, file: ElfFile): ElfSymbol | undefined {
  const name = symbol?.replace(/\(\)$/, '');
  return file.symbols.find(other => other.name === name && other.section !== undefined);
}

async function locate(
  view: View,
  debug: DebugObject,
  judged: ElfFile,
  place: Place,
): Promise<Located | undefined> {
  const ours = symbolOf(place, judged);
  const symbol = debug.symbol(ours?.name ?? '');
  if (ours === undefined || symbol === undefined || !areAlike(symbol, ours)) return undefined;
  // At its first byte is what concerns the function as a whole.
  const whole = place.offset === undefined || place.offset === 0;
  const frames = whole ? await debug.declarationOf(symbol) : await debug.linesOf(symbol, place.offset);
  const at = frameOfInterest(frames, view.files, place.unit);
  const line = frames[at];
  return (
    line && {
      place: { ...place, file: line.file, line: line.line },
      notes: [...inliningNotes(frames, at), ...view.notes],
    }
  );
}

/** The same function but for constants: the same instructions at the same offsets. */
function areAlike(a: ElfSymbol, b: ElfSymbol): boolean {
  if (a.type !== b.type || a.st_size !== b.st_size) return false;
  if (a.type !== STT.FUNC) return true;
  const left = x86_64.decode(bytesOf(a));
  const right = x86_64.decode(bytesOf(b));
  return left.count === right.count && left.starts.every((start, i) => start === right.starts[i]);
}

function bytesOf({ section, st_value, st_size }: ElfSymbol): Uint8Array {
  return section?.bytes.subarray(Number(st_value), Number(st_value + st_size)) ?? new Uint8Array();
}

/**
 * @returns index of the line that the author of the patch can do something about: the innermost in a file that the patch
 *   changes, else in the unit itself, else the outermost
 */
function frameOfInterest(
  frames: readonly SourceLine[],
  files: ReadonlySet<string>,
  source: string | undefined,
): number {
  const own = frames.findIndex(({ file }) => files.has(file));
  if (own >= 0) return own;
  const ofUnit = frames.findIndex(({ file }) => file === source);
  return ofUnit >= 0 ? ofUnit : frames.length - 1;
}

function inliningNotes(frames: readonly SourceLine[], at: number): readonly string[] {
  const [innermost] = frames;
  const within =
    at > 0 && innermost !== undefined
      ? [`in ${innermost.function}(), inlined there from ${innermost.file}:${innermost.line}`]
      : [];
  const around = frames
    .slice(at + 1)
    .map(frame => `inlined into ${frame.function}() at ${frame.file}:${frame.line}`);
  return [...within, ...around];
}
