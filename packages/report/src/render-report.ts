import { type Code, describeCode } from './catalogue.ts';
import { type Diagnostic, type Place, Refusal } from './diagnostic.ts';
import type { KstitchError } from './error.ts';
import { type Look, paint, printable, type Style, wrapText } from './render-text.ts';

/** The word before the code, and its colour. */
const heads = {
  error: ['error', 'red'],
  usage: ['error', 'red'],
  retry: ['error', 'red'],
  'timed-out': ['error', 'red'],
  refusal: ['refused', 'red'],
  interrupted: ['interrupted', 'yellow'],
  nothing: ['nothing to do', 'yellow'],
  caution: ['caution', 'yellow'],
  note: ['note', 'cyan'],
} as const satisfies Record<ReturnType<typeof describeCode>['kind'], readonly [string, Style]>;

/**
 * @returns the error as it is shown to its reader; a {@link Refusal} as all its findings; lines without a break at the end
 */
export function renderError(error: KstitchError, look: Look): string[] {
  if (error instanceof Refusal) return renderDiagnostics(error.diagnostics, look);
  return renderFinding(error.code, error.message, '', error.notes, error.help, look);
}

/** @returns the findings in the order given, an empty line between them */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], look: Look): string[] {
  return diagnostics.flatMap((finding, index) => [
    ...(index === 0 ? [] : ['']),
    ...renderFinding(finding.code, finding.text, placeText(finding.place), finding.notes, finding.help, look),
  ]);
}

/**
 * @returns where it is: `fs/ext4/mballoc.c: ext4_mb_load_buddy_gfp()+0x1c`, `ext4.patch:12`, `vmlinux: .init.text`; empty when
 *   nothing is known. A symbol with an offset is taken for code; one without is shown as its finder wrote it.
 */
export function placeText(place: Place): string {
  const { object, unit, file, line, section, symbol, offset } = place;
  const source = file === undefined ? unit : line === undefined ? file : `${file}:${line}`;
  // 'vmlinux' says nothing that a unit's path does not; a module's name does.
  const holder = source === undefined || (object !== undefined && object !== 'vmlinux') ? object : undefined;
  const code =
    symbol === undefined || offset === undefined
      ? symbol
      : `${symbol.endsWith(')') ? symbol : `${symbol}()`}+0x${offset.toString(16)}`;
  const bare = section !== undefined && symbol === undefined && offset !== undefined;
  return [holder, source, bare ? `${section}+0x${offset.toString(16)}` : section, code]
    .filter(part => part !== undefined)
    .join(': ');
}

/** @returns what stands before a message of this code: `error[usage]:` */
export function headOf(code: Code): string {
  return `${heads[describeCode(code).kind][0]}[${code}]:`;
}

function renderFinding(
  code: Code,
  text: string,
  place: string,
  notes: readonly string[],
  help: string,
  look: Look,
): string[] {
  const [, colour] = heads[describeCode(code).kind];
  const head = headOf(code);
  // Two columns are kept free for the indentation of the lines after the first.
  const [first = '', ...rest] = wrapText(`${head} ${printable(text)}`, look.columns - 2);
  return [
    first.startsWith(head) ? paint(look, ['bold', colour], head) + first.slice(head.length) : first,
    ...rest.map(line => `  ${line}`),
    ...(place === '' ? [] : [`  ${paint(look, 'dim', 'at')} ${printable(place)}`]),
    ...notes.flatMap(note => labelled('note:', note, 'cyan', look)),
    ...(help === '' ? [] : labelled('help:', help, 'green', look)),
  ];
}

function labelled(label: string, text: string, style: Style, look: Look): string[] {
  const [first = '', ...rest] = wrapText(printable(text), look.columns, `  ${label} `);
  return [`  ${paint(look, style, label)}${first.slice(2 + label.length)}`, ...rest];
}
