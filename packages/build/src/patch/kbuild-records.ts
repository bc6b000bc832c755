import { splitCommand } from '../kit/recorded-units.ts';
import { withoutDots } from './source-path.ts';

/** What kbuild wrote down of something it made while the kit was prepared, other than units. */
export interface KbuildRecord {
  /** `arch/x86/kernel/asm-offsets.s` */
  readonly target: string;
  /** The command's words. */
  readonly command: readonly string[];
  /** Files of the source that it was made from, headers included. */
  readonly inputs: readonly string[];
}

/** @returns whether a file is one of kbuild's records: `.asm-offsets.s.cmd` */
export function isKbuildRecord(name: string): boolean {
  return name.startsWith('.') && name.endsWith('.cmd');
}

/**
 * @param text - of a record: make variables with the command, and, where a compiler was run, its list of dependencies
 * @returns undefined where nothing of the source went into it
 */
export function readKbuildRecord(text: string): KbuildRecord | undefined {
  // 6.12 says savedcmd_ for cmd_.
  const [, target, line] = /^(?:saved)?cmd_(\S+) :=[ \t]*(.*)$/m.exec(text) ?? [];
  if (target === undefined || line === undefined) return undefined;
  const command = splitCommand(line.replaceAll('$(pound)', '#').replaceAll('$$', '$'));
  const [, source = ''] = /^source_\S+ :=[ \t]*(\S+)[ \t]*$/m.exec(text) ?? [];
  const [, dependencies = ''] = /^deps_\S+ :=((?:.*\\\n)*.*)$/m.exec(text) ?? [];
  // A script is handed the files that it reads; the compiler reads more than its command names.
  const named = command.filter(word => /^[\w./+-]+\.(?:[chS]|inc)$/.test(word));
  const listed = dependencies
    .replaceAll(/\$\(wildcard [^)]*\)/g, '')
    .split(/[\s\\]+/)
    .filter(word => word !== '');
  const words = [source, ...listed, ...named].filter(word => word !== '' && !word.startsWith('/'));
  const inputs = [...new Set(words.map(withoutDots))].filter(path => path !== target);
  return inputs.length === 0 ? undefined : { target, command, inputs };
}
