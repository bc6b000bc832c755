import { maskSource } from './masked-source.ts';
import { findSourceFunctions, type SourceFunction } from './source-functions.ts';

/** Lines that differ between two texts; lines count from 1 (packages/build: change-blocks.ts). */
export interface ChangeBlock {
  readonly beforeStart: number;
  readonly beforeCount: number;
  readonly afterStart: number;
  readonly afterCount: number;
}

/** One file of the patch, one character a byte. */
export interface ChangedText {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly blocks: readonly ChangeBlock[];
}

export const sides = ['before', 'after'] as const;
export type Side = (typeof sides)[number];

/** A line of the source without or with the patch. */
export interface LineRef {
  readonly file: string;
  readonly line: number;
  readonly side: Side;
}

/** A source file on one side of the patch, read as far as the kernel's layout tells. */
export class SourceText {
  readonly path: string;
  readonly side: Side;
  /** Each with its newline. */
  readonly lines: readonly string[];
  /** Without comments and literals. */
  readonly masked: readonly string[];
  readonly functions: readonly SourceFunction[];
  /** From 1. */
  readonly changed: readonly number[];

  constructor(path: string, side: Side, text: string, changed: readonly number[]) {
    this.path = path;
    this.side = side;
    this.lines = splitLines(text);
    this.masked = maskSource(this.lines);
    this.functions = findSourceFunctions(this.masked);
    this.changed = changed;
  }

  functionAt(line: number): SourceFunction | undefined {
    return this.functions.find(({ from, to }) => from <= line && line <= to);
  }

  /** @returns whether the line holds anything but blanks and comments */
  saysSomething(line: number): boolean {
    return (this.masked[line - 1] ?? '').trim() !== '';
  }

  ref(line: number): LineRef {
    return { file: this.path, line, side: this.side };
  }
}

/** @returns both sides of each changed file, as far as they exist */
export function readSources(files: readonly ChangedText[]): readonly SourceText[] {
  return files.flatMap(({ path, before, after, blocks }) => [
    ...(before === undefined
      ? []
      : [new SourceText(path, 'before', before, linesOf(blocks, 'beforeStart', 'beforeCount'))]),
    ...(after === undefined
      ? []
      : [new SourceText(path, 'after', after, linesOf(blocks, 'afterStart', 'afterCount'))]),
  ]);
}

function linesOf(
  blocks: readonly ChangeBlock[],
  start: 'beforeStart' | 'afterStart',
  count: 'beforeCount' | 'afterCount',
): number[] {
  return blocks.flatMap(block => Array.from({ length: block[count] }, (_, i) => block[start] + i));
}

export function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
