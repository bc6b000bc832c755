import type { ChangedFunction, ObjectDifference } from '@kstitch/diff/diff-objects';
import type { ExplainedLine, Explanation } from '@kstitch/diff/explain';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { ExitStatus } from '@kstitch/report/exit-status';
import { type Look, paint, printable } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { tuneForWork } from '../engine.ts';
import { inputKinds, readInput } from '../input-file.ts';
import { type CommonOptions, lines, paragraphs } from '../run-command.ts';

interface DiffObjectsOptions extends CommonOptions {
  readonly explain?: string;
}

/** `kstitch diff-objects BEFORE.o AFTER.o` */
export function addDiffObjects(program: Command, run: Run): void {
  const command = program
    .command('diff-objects')
    .summary('show which functions differ between two objects of one unit')
    .description(
      'Compares two x86-64 kernel objects, one compiled before a patch and one after, both with function and data sections. ' +
        'Names the functions that changed and those that are new, and what speaks against patching them. Exits with 3 where ' +
        'nothing differs that matters at run time.',
    )
    .argument('<before>', 'the object before the patch, FILE.o')
    .argument('<after>', 'the object after the patch, FILE.o')
    .option('--explain <function>', 'show where this function differs first, disassembled');
  finish(command, [
    'kstitch diff-objects before/mballoc.o after/mballoc.o',
    'kstitch diff-objects before/mballoc.o after/mballoc.o \\\n      --explain ext4_mb_load_buddy_gfp',
  ]);
  command.action((beforePath: string, afterPath: string, options: DiffObjectsOptions) =>
    run('diff-objects', options, async context => {
      const [before, after] = await Promise.all([
        readInput(beforePath, inputKinds.object, context.signal),
        readInput(afterPath, inputKinds.object, context.signal),
      ]);
      const [{ readElf }, { diffObjects }, { explain }, { x86_64 }] = await Promise.all([
        import('@kstitch/elf/read'),
        import('@kstitch/diff/diff-objects'),
        import('@kstitch/diff/explain'),
        import('@kstitch/arch/x86-64'),
      ]);
      tuneForWork();
      const compared = diffObjects(readElf(before, beforePath), readElf(after, afterPath), x86_64);
      const { difference } = compared;
      const explanation = options.explain === undefined ? undefined : explain(compared, options.explain);
      context.diagnostics.push(...difference.diagnostics);
      const { changed, added } = difference;
      return {
        json: { before: beforePath, after: afterPath, changed, added, ...(explanation && { explanation }) },
        text: look => paragraphs([renderDifference(difference), renderExplanation(explanation, look)]),
        status: statusOf(difference),
      };
    }),
  );
}

function statusOf({ changed, added, diagnostics }: ObjectDifference): ExitStatus {
  if (diagnostics.some(({ severity }) => severity === 'refusal')) return ExitStatus.refused;
  const isSame = changed.length === 0 && added.length === 0 && !diagnostics.some(isPerhapsLine);
  return isSame ? ExitStatus.nothingToDo : ExitStatus.done;
}

/** Of code that runs at boot: nothing to patch, and not known to be the same. */
function isPerhapsLine({ code }: Diagnostic): boolean {
  return code === 'may-be-line-number';
}

function renderDifference({ changed, added, diagnostics }: ObjectDifference): string {
  if (changed.length === 0 && added.length === 0) {
    if (diagnostics.some(({ severity }) => severity === 'refusal')) return '';
    return diagnostics.some(isPerhapsLine)
      ? 'no functional difference but what may be line numbers\n'
      : 'no functional difference\n';
  }
  return lines([
    ...changed.map(one => printable(`changed function: ${one.name}()${remarksOf(one)}`)),
    ...added.map(({ name, global }) => printable(`new function: ${name}()${global ? ', global' : ''}`)),
  ]);
}

function remarksOf({ name, newName, reason, mayBeLineNumber }: ChangedFunction): string {
  const remarks = [
    ...(name === newName ? [] : [`${newName}() in the after-object`]),
    ...(reason === 'changed' ? [] : [`its ${reason}`]),
    ...(mayBeLineNumber ? ['it may be a line number'] : []),
  ];
  return remarks.map(remark => `, ${remark}`).join('');
}

function renderExplanation(explanation: Explanation | undefined, look: Look): string {
  if (explanation === undefined) return '';
  const { summary, before, after } = explanation;
  return paragraphs([
    lines([printable(`${explanation.function}: ${summary}`)]),
    renderSide('before', before, look),
    renderSide('after', after, look),
  ]);
}

function renderSide(title: string, code: readonly ExplainedLine[], look: Look): string {
  if (code.length === 0) return '';
  const width = Math.max(...code.map(({ offset }) => offset.toString(16).length)) + 4;
  return lines([
    `${paint(look, 'bold', title)}:`,
    ...code.map(({ offset, text, kind, differs }) => {
      const place = `+0x${offset.toString(16)}`.padEnd(width);
      const body = kind === 'instruction' ? text : `        ${text}`;
      const line = printable(`${differs ? '>' : ' '} ${place} ${body}`);
      return differs ? paint(look, 'bold', line) : line;
    }),
  ]);
}
