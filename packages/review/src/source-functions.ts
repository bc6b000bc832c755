/**
 * Which lines of a C source are which function's, by the kernel's layout: a body begins with a brace in the first column,
 * or one at the end of a line that begins there, and ends with the next brace in the first column.
 *
 * Code that is laid out otherwise is found in no function; nothing is claimed about it then.
 */
export interface SourceFunction {
  /** As the compiler knows it; a system call has several. */
  readonly names: readonly string[];
  /** From 1, ends included; the lines of the head are part of it. */
  readonly from: number;
  readonly to: number;
}

/** @param masked - lines without comments and literals */
export function findSourceFunctions(masked: readonly string[]): readonly SourceFunction[] {
  const functions: SourceFunction[] = [];
  let done = 0;
  for (let index = 0; index < masked.length; index++) {
    const line = masked[index] ?? '';
    if (index < done || !/^\{|^[A-Za-z_].*\)[\s\w]*\{/.test(line) || /^typedef\b/.test(line)) continue;
    const from = headStart(masked, index, done);
    const head = masked.slice(from, index + 1).join(' ');
    const names = namesOf(head.slice(0, head.lastIndexOf('{')));
    if (names.length === 0) continue;
    const to = endOf(masked, index);
    if (to < 0) break;
    functions.push({ names, from: from + 1, to: to + 1 });
    done = to + 1;
  }
  return functions;
}

/** @returns the index of the first line of what the brace at `index` is the body of */
function headStart(masked: readonly string[], index: number, least: number): number {
  let from = index;
  while (from > least) {
    const above = masked[from - 1] ?? '';
    if (/^\s*$|^\s*#|[;}]\s*$|^\S.*\{\s*$/.test(above)) break;
    from -= 1;
  }
  return from;
}

function endOf(masked: readonly string[], index: number): number {
  const line = masked[index] ?? '';
  // All on one line: `static inline int f(void) { return 0; }`
  if (/\{.*\}\s*$/.test(line)) return index;
  return masked.findIndex((text, at) => at > index && text.startsWith('}'));
}

const attributes =
  /^(?:__attribute__|__releases|__acquires|__cond_acquires|__must_hold|__printf|__scanf|__aligned|__section|__alloc_size|__no_sanitize|__bpf_kfunc|noinline_for_stack|if|for|while|switch|do)$/;

function namesOf(head: string): readonly string[] {
  const call = /^\s*(?:asmlinkage\s+)?(COMPAT_)?SYSCALL(?:32)?_DEFINE\d\s*\(\s*(\w+)/.exec(head);
  if (call !== null) {
    // arch/x86/include/asm/syscall_wrapper.h
    const name = `${call[1] === undefined ? '' : 'compat_'}sys_${call[2]}`;
    return ['__do_', '__se_', '__x64_', '__ia32_'].map(prefix => prefix + name);
  }
  if (/=/.test(withoutBrackets(head))) return [];
  const name = topLevelCalls(head).findLast(word => !attributes.test(word));
  return name === undefined ? [] : [name];
}

function withoutBrackets(text: string): string {
  let depth = 0;
  let out = '';
  for (const character of text) {
    if (character === ')') depth -= 1;
    if (depth === 0) out += character;
    if (character === '(') depth += 1;
  }
  return out;
}

/** @returns the words before brackets that are in no others: `f` of `static int (*f(int (*g)(void)))` is none */
function topLevelCalls(text: string): string[] {
  return [...withoutBrackets(text).matchAll(/([A-Za-z_]\w*)\s*\(/g)].flatMap(([, word]) => word ?? []);
}
