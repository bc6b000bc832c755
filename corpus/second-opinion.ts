/**
 * Whether a unit differs before and after a patch, found without kstitch's differ: the objects as `objdump` shows them, compared
 * as texts.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildGround } from '@kstitch/build/build-livepatch';
import { compileThrice } from '@kstitch/build/compile/compile-thrice';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { findAffectedUnits } from '@kstitch/build/patch/affected-units';
import { applyPatches } from '@kstitch/build/patch/apply-patch';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import type { FileDifference } from './differing-files.ts';
import type { Finding } from './file-result.ts';
import { type ObjdumpOutput, type ObjectText, readObjectText } from './object-text.ts';

/** What differs between two objects, by name, sorted. */
export interface TextDifference {
  /** Functions that both have, with different code. */
  readonly changed: readonly string[];
  /** Functions that only one of them has: new or removed, inlined or not, a part split off. */
  readonly single: readonly string[];
  /** Sections. */
  readonly data: readonly string[];
}

/** Code of a finding in which the two opinions differ. */
export const DISAGREEMENT = 'second-opinion';

export function compareTexts(before: ObjectText, after: ObjectText): TextDifference {
  const functions = differing(before.functions, after.functions);
  const inBoth = (name: string) => before.functions.has(name) && after.functions.has(name);
  return {
    changed: functions.filter(inBoth),
    single: functions.filter(name => !inBoth(name)),
    data: differing(before.data, after.data),
  };
}

/** Compiles the difference's units once more and compares each before with after. */
export async function compareUnits(
  { kernel, database }: BuildGround,
  { file, patch }: FileDifference,
): Promise<TextDifference> {
  const context = silentContext();
  const patches = [{ name: file, bytes: Buffer.from(patch, 'latin1') }];
  const applied = await applyPatches(context, kernel.kit, patches);
  const units = await findAffectedUnits(context, kernel.kit, database, applied);
  const toolchain = await checkCompiler(context, kernel.kit.workshop, kernel.banner);
  return await withTemporaryDirectory('opinion', async directory => {
    const objects = await compileThrice(context, kernel.kit, toolchain, applied, units, directory);
    const differences: TextDifference[] = [];
    for (const { before, after } of objects) {
      const texts = [
        await objdump(join(directory, 'before.o'), before),
        await objdump(join(directory, 'after.o'), after),
      ] as const;
      differences.push(compareTexts(...texts));
    }
    return {
      changed: differences.flatMap(({ changed }) => changed),
      single: differences.flatMap(({ single }) => single),
      data: differences.flatMap(({ data }) => data),
    };
  });
}

/**
 * A function that only one side has is no doubt by itself: while all others and all data are the same, nobody calls it or
 * called it.
 *
 * @returns what speaks against 'no functional difference'
 */
export function doubtNoDifference({ changed, single, data }: TextDifference): readonly Finding[] {
  const text = (kind: string, name: string) =>
    `objdump shows a difference in ${kind} '${name}', the differ none`;
  // Its warnings and jump labels have entries of their own.
  const ofSingle = (name: string) => single.length > 0 && specialSection.test(name);
  return [
    ...changed.map(name => disagreement(text('function', name))),
    ...data
      .filter(name => !withoutFunction.test(name) && !ofSingle(name))
      .map(name => disagreement(text('section', name))),
  ];
}

/**
 * The other way round: a function that differs must be in the livepatch, one that does not has nothing to do in it.
 *
 * @returns what speaks against the livepatch
 */
export function doubtLivepatch(
  livepatch: { readonly patched: readonly string[]; readonly added: readonly string[] },
  { changed, single, data }: TextDifference,
): readonly Finding[] {
  const whole = (name: string) => name.replace(/(?:\.(?:cold|part|isra|constprop)(?:\.(?:\d+|N))?)+$/, '');
  const patched = new Set(livepatch.patched.map(whole));
  const added = new Set(livepatch.added.map(whole));
  const missing = [...new Set(changed.map(whole))].filter(name => !patched.has(name) && !added.has(name));
  const different = new Set([...changed, ...single].map(whole));
  // The line numbers of a warning, the key of a jump label: the code is the same, its entry is not.
  const byEntry = data.some(name => specialSection.test(name));
  const needless = byEntry ? [] : [...patched].filter(name => !different.has(name));
  return [
    ...missing.map(name =>
      disagreement(`objdump shows a difference in function '${name}', the livepatch lacks it`),
    ),
    ...needless.map(name =>
      disagreement(`the livepatch has function '${name}', in which objdump shows no difference`),
    ),
  ];
}

/**
 * Sections that hold nothing of their own: no part of the loaded kernel, or a list of the functions that are there (whether
 * a function has an ftrace site shows in its code), or of the symbols that are exported.
 */
const withoutFunction =
  /^(?:\.comment|\.note\.GNU-stack|\.discard\..*|__mcount_loc|__patchable_function_entries|___k(?:sym|crc)tab.*|__ksymtab_strings)$/;
const specialSection =
  /^(?:__bug_table|__jump_table|\.altinstructions|\.parainstructions|__ex_table|\.smp_locks)$/;

function disagreement(text: string): Finding {
  return { code: DISAGREEMENT, place: '', text, notes: [] };
}

function differing(
  before: ReadonlyMap<string, readonly string[]>,
  after: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  const text = (side: ReadonlyMap<string, readonly string[]>, name: string) =>
    side.get(name)?.join('\n\n') ?? '';
  return [...names]
    .filter(name => before.has(name) !== after.has(name) || text(before, name) !== text(after, name))
    .toSorted();
}

async function objdump(path: string, bytes: Uint8Array): Promise<ObjectText> {
  await writeFile(path, bytes);
  return readObjectText(await showObject(path));
}

/** @returns all that is read of an object */
export async function showObject(path: string): Promise<ObjdumpOutput> {
  const ask = async (...options: string[]) =>
    (await run('objdump', [...options, path], { maxOutput: 512 * 1024 * 1024 })).stdout;
  return {
    disassembly: await ask('--disassemble', '--reloc', '--wide'),
    contents: await ask('--full-contents'),
    relocations: await ask('--reloc'),
    headers: await ask('--section-headers', '--wide'),
    symbols: await ask('--syms'),
  };
}
