import type { ExportChange } from '@kstitch/diff/layout/compare-exports';
import type { ExportedSymbol } from '@kstitch/kernel/symvers';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { ChangedUnit } from './compile/compile-changed.ts';

/**
 * What is wrong about the exports of units: modules of the running kernel were compiled for what these were.
 *
 * @param units - those that the livepatch changes
 * @param symvers - of the shipped kernel, by name
 */
export function checkExports(
  units: readonly Pick<ChangedUnit, 'command' | 'exportChanges'>[],
  symvers: ReadonlyMap<string, Pick<ExportedSymbol, 'crc'>>,
): readonly Diagnostic[] {
  return units.flatMap(({ command: { source }, exportChanges }) =>
    exportChanges.map(change => judge(source, change, symvers.get(change.symbol)?.crc)),
  );
}

function judge(unit: string, { symbol, crc, cause }: ExportChange, shipped: number | undefined): Diagnostic {
  const place = { unit, symbol };
  if (shipped !== crc) {
    const notes = [`computed ${hex(crc)}, shipped ${shipped === undefined ? 'none' : hex(shipped)}`];
    const text = `the type of the exported '${symbol}' cannot be compared: its CRC is not the shipped one`;
    return diagnostic('export-not-compared', place, text, { notes });
  }
  if (cause.kind === 'declaration') {
    const notes = [`before: ${cause.before}`, `after: ${cause.after}`];
    return diagnostic(
      'export-type-changed',
      place,
      `the patch changes the type of the exported '${symbol}'`,
      {
        notes,
      },
    );
  }
  return diagnostic('export-crc-changed', place, `the CRC of the exported '${symbol}' changes`, {
    notes: [noteOn(cause)],
  });
}

function noteOn(cause: Exclude<ExportChange['cause'], { kind: 'declaration' }>): string {
  switch (cause.kind) {
    case 'visible': {
      const where = cause.header === undefined ? 'what is included' : `an include of '${cause.header}'`;
      return `'${cause.type}' is known in one of the two only, by ${where}`;
    }
    case 'type':
      return `'${cause.type}' changes`;
    case 'untold':
      return 'the dumps of genksyms do not tell why';
  }
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`;
}
