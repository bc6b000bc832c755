/** `__weak` as include/linux/compiler_attributes.h has it, as gcc has it, and as kernel/sys_ni.c and assembly make it. */
const weakMark = /\b__weak\b|__attribute__\s*\(\(\s*(?:__)?weak(?:__)?\s*\)\)/g;
/** What is declared behind the mark: other attributes and a type may stand between. */
const declared = /^[^;{}=()]*?\b(\w+)\s*[([=;,]/;
/** What is declared before it, whatever attribute follows: `int f(void) __weak __alias(g);`. */
const functionBefore = /\b(\w+)\s*\([^()]*\)\s*$/;
/** `const struct bpf_func_proto bpf_spin_lock_proto __weak;` (kernel/bpf/core.c), where nothing follows that could be declared. */
const variableBefore = /\b(\w+)\s*(?:\[[^\]]*\]\s*)*$/;
const declarationEnds = /^\s*[;=,]/;
const weakInAssembly = /(?:^|\s)(?:\.weak|SYM_\w*_WEAK\w*\()\s*(\w+)/g;
const weakSyscall = /\bCOND_SYSCALL(?:_COMPAT)?\((\w+)\)/g;

/** One of them is in every text with a weak name. */
const marks = ['weak', '_WEAK', 'COND_SYSCALL'];
/** In characters: no declaration is longer. */
const reach = 400;

/**
 * @param text - C or assembly
 * @returns names that are weak in it, whatever the configuration
 */
export function readWeakNames(text: string): readonly string[] {
  if (!marks.some(mark => text.includes(mark))) return [];
  const names = new Set<string>();
  for (const { index, 0: mark } of text.matchAll(weakMark)) {
    const end = index + mark.length;
    const before = text.slice(Math.max(0, index - reach), index);
    const behind = text.slice(end, end + reach);
    const found = [
      functionBefore.exec(before),
      declarationEnds.test(behind) ? variableBefore.exec(before) : declared.exec(behind),
    ];
    for (const match of found) if (match?.[1] !== undefined) names.add(match[1]);
  }
  for (const [, name = ''] of text.matchAll(weakInAssembly)) names.add(name);
  // arch/x86/include/asm/syscall_wrapper.h
  for (const [, name = ''] of text.matchAll(weakSyscall))
    for (const abi of ['x64', 'ia32', 'x64_compat', 'ia32_compat']) names.add(`__${abi}_sys_${name}`);
  return [...names];
}
