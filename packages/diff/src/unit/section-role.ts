import type { Section } from '@kstitch/elf/model';

/**
 * What the kernel makes of a section beyond running it, or reading and writing it. Nearly all have no such role, and what they
 * hold may lie in any other of them: `.text.f`, `.text.unlikely.f` and `.ref.text`; `.data.x`, `.bss.x` and
 * `.data..read_mostly`. The others are ranges that something counts on: `.sched.text` is left out of a sleeper's trace,
 * `.kprobes.text` takes no probe, what is in `.data..decrypted` a hypervisor may read, `.initcall6.init` runs before
 * `.initcall7.init`.
 *
 * @returns the role, or undefined; equal for sections of which one can stand for the other
 */
export function roleOf({ name }: Section): string | undefined {
  const perCpu = /^\.data\.\.(percpu|ro_after_init)/.exec(name)?.[1];
  if (perCpu !== undefined) return perCpu;
  return ordinary.test(name) || forSpeed.test(name) ? undefined : name;
}

/** The compiler puts a function or object into one named for it; `__ref` speaks to modpost only. */
const ordinary = /^\.(?:text|data|bss|rodata)(?:\.[^.].*)?$|^\.ref\.(?:text|data|rodata)$/;

/** include/linux/cache.h, and what compilers put under labels of their own. */
const forSpeed =
  /^\.(?:data|bss|rodata)\.\.(?:read_mostly|(?:shared|cacheline)_aligned|once|do_once|unlikely|compoundliteral|L)/;
