/** A review for a terminal. */
import { headOf } from '@kstitch/report/render-report';
import { type Look, paint, printable, wrapText } from '@kstitch/report/render-text';
import type { Review, ReviewedFunction } from '../review.ts';
import type { FunctionUse } from '../shipped-uses.ts';
import {
  balanceText,
  callersText,
  countOf,
  kindText,
  memberText,
  reachedText,
  typeText,
  useText,
  verdictText,
  whyLines,
} from './words.ts';

/** Names of callers and holders that are shown; the JSON has all. */
const shownNames = 8;
/** Width of the labels of a function's rows. */
const labelWidth = 10;

/** @returns the text, with a line break at its end */
export function renderReviewText(review: Review, look: Look): string {
  const { functions, livepatch, findings } = review;
  const parts = [
    wrapText(printable(verdictText(review)), look.columns).map(line => paint(look, 'bold', line)),
    [
      ...row('kernel', `${review.kernel.release} (${review.kernel.packageVersion})`, look, ''),
      ...review.patches.flatMap(({ name, sha256 }) =>
        row('patch', `${name} (sha256 ${sha256.slice(0, 16)}…)`, look, ''),
      ),
      ...(review.cves.length === 0 ? [] : row('CVEs', review.cves.join(', '), look, '')),
      ...row('units', unitsText(review), look, ''),
      ...(livepatch === undefined
        ? []
        : row(
            'livepatch',
            `${livepatch.module}, ${countOf(livepatch.klpRelocations, 'klp relocation')}`,
            look,
            '',
          )),
    ],
    ...functions.map(one => functionLines(one, look)),
    section(look, 'locks, references, memory', review.balance.map(balanceText)),
    section(
      look,
      'members of structures in changed lines',
      review.structs.map(({ type, members }) => `${type}: ${members.map(memberText).join(', ')}`),
    ),
    section(look, 'types that change', review.types.map(typeText)),
    section(look, 'why it must stay loaded', livepatch?.unload.reasons ?? []),
    section(look, 'mind when a patched module is loaded again', livepatch?.reload ?? []),
    section(
      look,
      'findings',
      findings.map(({ code, text }) => `${headOf(code)} ${text}`),
    ),
    section(look, 'not looked into', review.gaps),
  ];
  return parts
    .filter(lines => lines.length > 0)
    .map(lines => lines.map(line => `${line}\n`).join(''))
    .join('\n');
}

function unitsText({ units: { affected, changed } }: Review): string {
  if (affected === undefined) return 'none was compiled';
  return `${changed.length} of ${affected.length} compiled ${affected.length === 1 ? 'unit differs' : 'units differ'}`;
}

function functionLines(one: ReviewedFunction, look: Look): string[] {
  const { uses, reached, code, sizeBefore, sizeAfter } = one;
  const title = `${one.object === 'vmlinux' ? '' : `${one.object}: `}${one.unit}: ${one.name}()`;
  const size = sizeBefore === undefined ? `${sizeAfter} bytes` : `${sizeBefore} → ${sizeAfter} bytes`;
  return [
    ...wrapText(printable(`${title} (${kindText(one)})`), look.columns).map(line =>
      paint(look, 'bold', line),
    ),
    ...whyLines(one).flatMap((line, i) => row(i === 0 ? 'why' : '', line, look)),
    ...row(
      'code',
      `${size}, ${countOf(code.removed, 'instruction')} out, ${code.added} in${code.summary === '' ? '' : `; ${code.summary}`}`,
      look,
    ),
    ...row('callers', `${callersText(one)}${namesText(uses?.callers, one.object)}`, look),
    ...(uses === undefined || uses.holders.length === 0
      ? []
      : row(
          'address',
          `taken in ${countOf(uses.holders.length, 'place')}${namesText(uses.holders, one.object)}`,
          look,
        )),
    ...(reached.gained.length === 0 ? [] : row('reaches', reached.gained.map(reachedText).join(', '), look)),
    ...(reached.lost.length === 0 ? [] : row('no longer', reached.lost.map(reachedText).join(', '), look)),
    ...one.hazards.flatMap(({ text }) => row('mind', text, look)),
  ];
}

function namesText(uses: readonly FunctionUse[] | undefined, home: string): string {
  if (uses === undefined || uses.length === 0) return '';
  const more = uses.length - shownNames;
  const names = uses.slice(0, shownNames).map(use => useText(use, home));
  return `: ${names.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

function row(label: string, text: string, look: Look, indent = '  '): string[] {
  const head = `${indent}${(label === '' ? '' : `${label}:`).padEnd(labelWidth)} `;
  const [first = '', ...rest] = wrapText(printable(text), look.columns, head);
  return [paint(look, 'dim', head) + first.slice(head.length), ...rest];
}

function section(look: Look, title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  return [
    `${paint(look, 'bold', title)}:`,
    ...items.flatMap(item => {
      const [first = '', ...rest] = wrapText(printable(item), look.columns - 2, '  ');
      return [first, ...rest.map(line => `  ${line}`)];
    }),
  ];
}
