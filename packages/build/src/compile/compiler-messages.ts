import { diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { withoutDots } from '../patch/source-path.ts';
import type { UnitCommand } from './unit-command.ts';

/** Lines of the compiler that are shown of one unit. */
const shownLines = 20;

/**
 * @param stderr - what the compiler said
 * @param patched - whether the patch can be what is wrong
 * @returns the error to throw: the first error with its place, what followed it as notes
 */
export function compileFailure(unit: UnitCommand, stderr: string, patched: boolean): KstitchError {
  const lines = stderr.trimEnd().split('\n');
  if (lines.some(line => /No space left on device|Disk quota exceeded/.test(line))) {
    return new KstitchError('host-disk-full', `compile '${unit.source}': no space left on device`);
  }
  const first = lines.findIndex(line => /: (?:fatal )?error: /.test(line));
  // Whatever stood before the first error were warnings.
  const words = lines.slice(Math.max(first, 0));
  const notes =
    words.length > shownLines
      ? [...words.slice(0, shownLines), `… ${words.length - shownLines} more lines`]
      : words;
  if (!patched || first === -1) {
    const text = `compile '${unit.source}'${patched ? '' : ' without the patch'}: ${unit.compiler} failed`;
    return new KstitchError('compile-unpatched-failed', text, { notes });
  }
  const parts = /^(.+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$/.exec(words[0] ?? '');
  const [, named, line, said] = parts ?? [];
  if (named === undefined || line === undefined || said === undefined) {
    return new Refusal([
      diagnostic('compile-error', { unit: unit.source }, `${unit.source}: ${words[0] ?? ''}`, {
        notes: notes.slice(1),
      }),
    ]);
  }
  const file = named.startsWith('/') ? named : withoutDots(named);
  const place = { unit: unit.source, file, line: Number(line) };
  return new Refusal([
    diagnostic('compile-error', place, `${file}:${line}: ${said}`, { notes: notes.slice(1) }),
  ]);
}
