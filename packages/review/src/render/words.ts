/** The sentences of a review, the same in the terminal and on the page; unescaped. */
import type { CallDelta } from '../balance.ts';
import type { Review, ReviewedFunction, ReviewedType } from '../review.ts';
import type { FunctionUse } from '../shipped-uses.ts';
import type { LineRef, Side } from '../source-text.ts';
import type { MemberAccess } from '../struct-access.ts';
import type { ReachedSymbol } from '../unit-changes.ts';
import type { Why } from '../why.ts';

export function countOf(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

export function verdictText({ verdict, functions, livepatch, findings, kernel }: Review): string {
  const refusals = findings.filter(({ severity }) => severity === 'refusal').length;
  switch (verdict) {
    case 'refused':
      return `a build for ${kernel.release} would be refused: ${countOf(refusals, 'reason')}`;
    case 'no difference':
      return `no functional difference to ${kernel.release}`;
    case 'buildable': {
      const redirected = functions.filter(one => one.redirected === true).length;
      return `can be built for ${kernel.release}: ${countOf(redirected, 'function')} redirected, unloading is ${livepatch?.unload.verdict ?? 'unknown'}`;
    }
  }
}

/** `fs/ext4/mballoc.c:1378-1379, 1392`; the lines after the patch where there are any. */
export function linesText(lines: readonly LineRef[]): string {
  const after = lines.filter(({ side }) => side === 'after');
  return after.length > 0 ? placesText(after) : `removed ${placesText(lines)}`;
}

function placesText(lines: readonly LineRef[]): string {
  return [...Map.groupBy(lines, ({ file }) => file)]
    .map(([file, list]) => `${file}:${rangesText(list.map(({ line }) => line))}`)
    .join(', ');
}

function rangesText(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = [];
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to === number - 1) last.to = number;
    else ranges.push({ from: number, to: number });
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}

export function whyText(why: Why): string {
  switch (why.kind) {
    case 'source':
      return `source change: ${linesText(why.lines)}`;
    case 'inlined':
      return `inlined: ${why.chain.map(name => `${name}()`).join(' into ')}, changed at ${linesText(why.lines)}`;
    case 'macro':
      return `macro: ${why.name} changes at ${linesText(why.lines)}, by its name used at ${placesText(why.used)}`;
    case 'data':
      return `data: it reads the private table '${why.name}', which changes`;
    case 'callee':
      return `callee: the compiler made ${why.after}() of what was ${why.before}()`;
    case 'carries':
      return `calls: its code is the same, and it calls ${why.functions.map(name => `${name}()`).join(', ')}, which cannot be redirected`;
  }
}

/** What there is to say about why a function is in the set, a line each. */
export function whyLines(one: ReviewedFunction): readonly string[] {
  const made = one.clone === undefined ? [] : [`clone: the compiler made it of ${one.sourceName}()`];
  const cold = one.coldOnly ? ['only the part that the compiler put aside as unlikely differs'] : [];
  const reasons = one.why.map(whyText);
  const unexplained =
    one.why.length > 0 ? [] : ['unexplained: no changed line of the source was found in it', ...one.facts];
  const carried =
    one.kind === 'changed' && one.redirected === false
      ? ['it cannot be redirected; those that call it are, in its place']
      : [];
  return [...reasons, ...unexplained, ...made, ...cold, ...carried];
}

export function kindText({ kind }: ReviewedFunction): string {
  return kind === 'carrier' ? 'redirected for what it calls' : kind;
}

export function useText({ object, name, kind, sites }: FunctionUse, home: string): string {
  const where = object === home ? '' : `${object}: `;
  const call = kind === 'call' || kind === 'jump';
  return `${where}${name}${kind === 'data' ? '' : '()'}${sites === 1 ? '' : ` ×${sites}`}${call || kind === 'data' ? '' : ' (code)'}`;
}

/** Said of the callers, whatever their number. */
export function callersText({ uses, kind }: ReviewedFunction): string {
  if (kind === 'new') return 'new: nothing in the shipped kernel calls it';
  if (uses === undefined) return 'unknown: it could not be told from its namesakes in the shipped kernel';
  const exported = uses.exported
    ? '; it is exported, and modules not shipped with the kernel may call it'
    : '';
  if (uses.callers.length === 0) return `no direct call in the shipped kernel${exported}`;
  const sites = uses.callers.reduce((sum, use) => sum + use.sites, 0);
  return `${countOf(sites, 'site')} in ${countOf(uses.callers.length, 'function')}${exported}`;
}

export function reachedText({ name, where }: ReachedSymbol): string {
  return where === 'new' ? `${name} (new)` : name;
}

export function typeText({ text, notes, units, verdict }: ReviewedType): string {
  const what = {
    refused: 'refused',
    hole: 'unpatched code leaves that memory as it is',
    accepted: 'accepted by the author',
  }[verdict];
  return `${[text, ...notes].join('; ')} (${what}; in ${units.join(', ')})`;
}

export function memberText({ name, write, sides }: MemberAccess): string {
  const gone = sides.every((side: Side) => side === 'before');
  const added = sides.every((side: Side) => side === 'after');
  const marks = [...(write ? ['written'] : []), ...(gone ? ['no longer'] : []), ...(added ? ['new'] : [])];
  return marks.length === 0 ? name : `${name} (${marks.join(', ')})`;
}

export function balanceText({ function: owner, name, role, before, after, hint }: CallDelta): string {
  return `${owner}(): ${name}() ${role === 'takes' ? 'takes' : 'gives back'}, ${before} before, ${after} after${hint === '' ? '' : `; ${hint}`}`;
}

/** What the section of structures covers. */
export const structsNote =
  'Members that changed lines read or write, from what the compiler makes of them. The type is that of the variable or cast they go through, or of a call of a function of the same unit; what a member points to is not followed.';
export const balanceNote =
  'Calls by name, counted in the text of each changed function. A hint is something to look at, no verdict.';
export const callersNote =
  'Direct calls and jumps in the shipped vmlinux, and relocations of the shipped modules. Calls through pointers are not seen; who holds the address is listed. Code and data freed after boot are left out.';
export const codeNote =
  'Disassembled before and after, without function padding; jump targets that only moved count as equal. Relocations stand behind #.';
