import { stripVTControlCharacters, styleText } from 'node:util';

/** What the place that is written to can show. */
export interface Look {
  /** Width in columns that lines are wrapped or clipped to. */
  readonly columns: number;
  readonly colour: boolean;
  /** Whether anything but ASCII may be drawn; text is passed on as it is. */
  readonly unicode: boolean;
}

/** Width where there is no terminal to ask: the width that terminals have had since the punched card. */
export const DEFAULT_COLUMNS = 80;

/** Narrower than this nothing is wrapped any further. */
const MIN_COLUMNS = 20;

export type Style = Parameters<typeof styleText>[0];

/** @returns `text` in `style` where `look` has colours, else `text` */
export function paint(look: Look, style: Style, text: string): string {
  return look.colour ? styleText(style, text, { validateStream: false }) : text;
}

/**
 * File names, symbols and compiler output come from outside: an escape sequence in them may not reach the terminal.
 *
 * @returns `text` with terminal sequences removed and the control characters left over shown as `\x07`; line breaks and tabs
 *   (as two blanks) stay
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll('\t', '  ')
    .replaceAll(/\r\n/g, '\n')
    .replaceAll(/[^\P{Cc}\n]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, character => {
      const point = character.codePointAt(0) ?? 0;
      return point < 0x100 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u${point.toString(16)}`;
    });
}

/** @returns how many columns a terminal needs for `text`, which holds no control characters */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}|[\u200b-\u200d]/u.test(character)) continue;
    width +=
      /[\p{Emoji_Presentation}\p{sc=Han}\p{sc=Hangul}\p{sc=Hiragana}\p{sc=Katakana}\uff01-\uff60]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

/** @returns `text`, cut to `columns` with a `…` or `~` (one column) at its end where something is missing */
export function clip(text: string, columns: number, look: Look): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return '';
  let kept = '';
  let width = 0;
  for (const character of text) {
    width += displayWidth(character);
    if (width > columns - 1) break;
    kept += character;
  }
  return `${kept}${look.unicode ? '…' : '~'}`;
}

/**
 * Wraps at blanks. A word wider than the line stays whole: a path or a command that somebody will copy.
 *
 * @param text - printable text; each of its lines is wrapped by itself and keeps its own indentation
 * @param columns - the width of the lines, indentation included
 * @param first - what stands before the first line; the others are indented to the same column
 * @returns lines without line breaks
 */
export function wrapText(text: string, columns: number, first = ''): string[] {
  const indent = ' '.repeat(displayWidth(first));
  const room = Math.max(columns, MIN_COLUMNS) - indent.length;
  const lines = text.split('\n').flatMap(line => wrapLine(line, room));
  return lines.map((line, index) => ((index === 0 ? first : indent) + line).trimEnd());
}

function wrapLine(line: string, room: number): string[] {
  // Also for what is no prose: the blanks within a compiler's line have a meaning.
  if (displayWidth(line) <= room) return [line];
  const indentation = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let current = indentation;
  let empty = true;
  for (const word of line.slice(indentation.length).split(/ +/)) {
    if (!empty && displayWidth(current) + 1 + displayWidth(word) > room) {
      lines.push(current);
      current = indentation;
      empty = true;
    }
    current += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(current);
  return lines;
}
