import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { type ChangeBlock, findChangeBlocks, splitLines } from './change-blocks.ts';
import { findHunk, holdsReverse, mismatchNotes } from './find-hunk.ts';
import { type FilePatch, type Patch, type PatchText, parsePatch } from './parse-patch.ts';

export interface AppliedPatch {
  readonly patches: readonly { readonly name: string; readonly sha256: string }[];
  /** The files that differ from the source of the running kernel, by path. */
  readonly files: readonly ChangedFile[];
}

/** Texts have one character a byte (latin1). */
export interface ChangedFile {
  readonly path: string;
  /** Undefined of a new file. */
  readonly before: string | undefined;
  /** Undefined of a file that the patch removes. */
  readonly after: string | undefined;
  /** Where the two differ. */
  readonly blocks: readonly ChangeBlock[];
}

type Texts = Map<string, string | undefined>;

/**
 * Applies patches one after the other to the source of a kernel, in memory.
 *
 * A hunk that fits exactly at another line is taken, with a note; a hunk that fits only in part (what `patch` calls fuzz) is
 * refused.
 *
 * @returns the changed files with what stood in them
 * @throws KstitchError - what {@link parsePatch} throws; `patch-file-missing`, `patch-file-exists`, `patch-does-not-apply`,
 *   `patch-has-fuzz`, `patch-already-applied`, `patch-crlf`
 */
export async function applyPatches(
  context: Context,
  kit: KernelTree,
  texts: readonly PatchText[],
): Promise<AppliedPatch> {
  const patches = texts.map(parsePatch);
  const original: Texts = new Map();
  for (const path of new Set(patches.flatMap(patch => patch.files.map(file => file.path)))) {
    original.set(path, await readSource(kit, path));
  }
  let current: Texts = new Map(original);
  for (const patch of patches) current = applyOne(context, kit, patch, current);
  const files = [...current]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([path, after]) => {
      const before = original.get(path);
      if (before === after) return [];
      return [
        { path, before, after, blocks: findChangeBlocks(splitLines(before ?? ''), splitLines(after ?? '')) },
      ];
    });
  return { patches: patches.map(({ name, sha256 }) => ({ name, sha256 })), files };
}

async function readSource(kit: KernelTree, path: string): Promise<string | undefined> {
  try {
    return await readFile(join(kit.paths.tree, path), 'latin1');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileError(`read '${path}' of the kernel source`, error);
  }
}

function applyOne(context: Context, kit: KernelTree, patch: Patch, before: Texts): Texts {
  const texts: Texts = new Map(before);
  try {
    for (const file of patch.files)
      texts.set(file.path, applyFile(context, kit, patch, file, texts.get(file.path)));
    return texts;
  } catch (error) {
    // What is applied already fails in many ways; say that instead of how.
    if (!(error instanceof KstitchError) || !isApplied(patch, before)) throw error;
    throw new KstitchError(
      'patch-already-applied',
      `apply '${patch.name}': the source of ${kit.release} contains it already`,
      {
        cause: error,
      },
    );
  }
}

function applyFile(
  context: Context,
  kit: KernelTree,
  patch: Patch,
  file: FilePatch,
  text: string | undefined,
): string | undefined {
  const { path, change } = file;
  if (change === 'create' && text !== undefined) {
    throw new KstitchError('patch-file-exists', `apply '${patch.name}': it creates '${path}', which exists`);
  }
  if (change !== 'create' && text === undefined) {
    throw new KstitchError(
      'patch-file-missing',
      `apply '${patch.name}': there is no file '${path}' in the source of ${kit.release}`,
    );
  }
  checkLineEnds(patch, file, text ?? '');
  const after = applyHunks(context, patch, file, splitLines(text ?? '')).join('');
  if (change !== 'delete') return after;
  if (after !== '') {
    throw new KstitchError(
      'patch-does-not-apply',
      `apply '${patch.name}': it removes '${path}', which has more lines than it takes away`,
    );
  }
  return undefined;
}

/** A line with a CR fits nowhere in a file without, or brings one into it. */
function checkLineEnds(patch: Patch, { path, hunks }: FilePatch, text: string): void {
  if (text.includes('\r\n')) return;
  for (const [index, hunk] of hunks.entries()) {
    const ends = hunk.lines.filter(line => line.text.endsWith('\r\n')).length;
    if (ends === 0) continue;
    throw new KstitchError(
      'patch-crlf',
      `apply '${patch.name}': ${ends} of ${hunk.lines.length} lines of hunk ${index + 1} end in CR LF, and no line of '${path}' does`,
    );
  }
}

function applyHunks(
  context: Context,
  patch: Patch,
  file: FilePatch,
  lines: readonly string[],
): readonly string[] {
  const result: string[] = [];
  let done = 0;
  let shift = 0;
  for (const [index, hunk] of file.hunks.entries()) {
    const found = findHunk(lines, hunk, { from: done, shift });
    const number = index + 1;
    if (found.kind === 'none') {
      throw new KstitchError(
        'patch-does-not-apply',
        `apply '${patch.name}': hunk ${number} does not fit '${file.path}' at line ${found.nearest + 1}`,
        { notes: mismatchNotes(file.path, lines, hunk, found.nearest) },
      );
    }
    if (found.kind === 'fuzz') {
      throw new KstitchError(
        'patch-has-fuzz',
        `apply '${patch.name}': hunk ${number} fits '${file.path}' at line ${found.at + 1} only with fuzz ${found.fuzz}`,
        { notes: mismatchNotes(file.path, lines, hunk, found.at) },
      );
    }
    if (found.offset !== 0) noteOffset(context, file, number, found);
    result.push(
      ...lines.slice(done, found.at),
      ...hunk.lines.filter(line => line.kind !== 'remove').map(line => line.text),
    );
    done = found.at + hunk.lines.filter(line => line.kind !== 'add').length;
    shift = found.offset;
  }
  return [...result, ...lines.slice(done)];
}

function noteOffset(
  context: Context,
  file: FilePatch,
  number: number,
  { at, offset, places }: { at: number; offset: number; places: number },
): void {
  const where = `${Math.abs(offset)} lines ${offset > 0 ? 'below' : 'above'} where the patch says`;
  const place = { file: file.path, line: at + 1 };
  const notes = places > 1 ? [`it fits at ${places} places; the nearest was taken`] : [];
  context.diagnostics.push(
    diagnostic('patch-offset', place, `'${file.path}': hunk ${number} applied at line ${at + 1}, ${where}`, {
      notes,
    }),
  );
}

/** Whether every file already is what the patch would make of it. */
function isApplied(patch: Patch, texts: Texts): boolean {
  return patch.files.every(file => {
    const text = texts.get(file.path);
    if (file.change === 'delete') return text === undefined;
    return text !== undefined && holdsReverse(splitLines(text), file.hunks);
  });
}
