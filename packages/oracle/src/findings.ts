import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { JudgedUnit } from './judged-unit.ts';

/** Findings kept at most: a module that is wrong throughout need not be told so a million times. */
const maxFindings = 1000;

export class Findings {
  readonly all: Diagnostic[] = [];

  /**
   * @param unit - that the finding is about; undefined for what belongs to no unit
   * @param symbol - a function or object, or a section
   */
  add(unit: JudgedUnit | undefined, symbol: string, offset: number | undefined, text: string): void {
    if (this.all.length >= maxFindings) return;
    const place = {
      ...(unit === undefined ? {} : { object: unit.question.gate, unit: unit.question.name }),
      ...(symbol === '' ? {} : { symbol }),
      ...(offset === undefined || offset < 0 ? {} : { offset }),
    };
    this.all.push(diagnostic('oracle-disagrees', place, text));
  }
}

export function hex(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
