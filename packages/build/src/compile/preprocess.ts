import type { Context } from '@kstitch/report/context';
import { withoutDots } from '../patch/source-path.ts';
import type { Workshop } from '../root/workshop.ts';
import type { UnitCommand } from './unit-command.ts';

/**
 * Asks the compiler which files a unit is made of. A header that is made later in a build counts as there, empty.
 *
 * @param cwd - the kit's tree
 * @returns paths below the tree; undefined when the compiler cannot tell
 * @throws KstitchError - `host-tool-missing`, `interrupted`
 */
export async function listDependencies(
  context: Context,
  workshop: Workshop,
  unit: UnitCommand,
  cwd: string,
): Promise<readonly string[] | undefined> {
  const rule = await output(
    context,
    workshop,
    unit.compiler,
    [...unit.args, '-M', '-MG', unit.spelling],
    cwd,
  );
  return rule === undefined ? undefined : below(readDependencies(rule));
}

/** @returns those that lie in the tree, without `.` and `..` */
function below(paths: readonly string[]): readonly string[] {
  return paths.filter(path => !path.startsWith('/')).map(withoutDots);
}

/** @param rule - as for make: `OBJECT: FILE FILE \`, blanks in names escaped with `\` */
export function readDependencies(rule: string): readonly string[] {
  const list = rule.slice(rule.indexOf(': ') + 2).replaceAll('\\\n', ' ');
  return list.match(/(?:\\.|[^\s\\])+/g)?.map(name => name.replaceAll(/\\(.)/g, '$1')) ?? [];
}

/**
 * What a unit comes to, as text: two sources that give the same text give the same object.
 *
 * @param cwd - the kit's tree or a patched one
 * @returns C compiled to assembly, or assembly as the assembler gets it; undefined when it does not compile there
 */
export async function translate(
  context: Context,
  workshop: Workshop,
  unit: UnitCommand,
  cwd: string,
): Promise<string | undefined> {
  const how = unit.kind === 'asm' ? ['-E', '-P'] : ['-S', '-g0'];
  const text = await output(
    context,
    workshop,
    unit.compiler,
    [...unit.args, ...how, '-o', '-', unit.spelling],
    cwd,
  );
  // Comments of the compiler: where in the source each asm statement stands.
  return unit.kind === 'asm' ? text : text?.replaceAll(/^#.*\n/gm, '');
}

/**
 * Runs a command that kbuild recorded anew, and takes of the result what the build takes.
 *
 * @param command - its words: C to assembly (`.s`) for the constants in it, or a linker script (`.lds`)
 * @returns undefined when it fails, or is of another kind
 */
export async function runRecorded(
  context: Context,
  workshop: Workshop,
  command: readonly string[],
  cwd: string,
): Promise<string | undefined> {
  // -C would keep comments.
  const [program, ...words] = command.filter(word => !/^-Wp,-MM?D,/.test(word) && word !== '-C');
  const at = words.indexOf('-o');
  if (program === undefined || at === -1) return undefined;
  // Debug information would name every structure, used or not.
  const text = await output(context, workshop, program, [...words.with(at + 1, '-'), '-g0'], cwd);
  if (!words.includes('-S')) return text;
  // scripts/Makefile.lib (filechk_offsets): each constant is a string that begins with an arrow.
  return text?.match(/\.ascii\s+"->.*"/g)?.join('\n');
}

async function output(
  context: Context,
  workshop: Workshop,
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<string | undefined> {
  const { status, stdout } = await workshop.run(program, args, {
    cwd,
    signal: context.signal,
    allowStatus: [1, 2, 3, 4],
  });
  return status === 0 ? stdout : undefined;
}
