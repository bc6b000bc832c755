/** What is known to be dangerous about patching a function: by its name, and by its code before the patch. */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, instructionAt } from '@kstitch/arch/instructions';
import type { Atom } from '@kstitch/diff/unit/atom';

export interface Hazard {
  readonly kind: 'known' | 'never-returns' | 'sleeps';
  /** One sentence without a full stop. */
  readonly text: string;
}

/** Functions that a livepatch had better leave alone, with the reason; from the kernel's own sources. */
const known: readonly (readonly [names: RegExp, why: string])[] = [
  [
    /^(?:__schedule|schedule|preempt_schedule\w*|schedule_idle|context_switch|__switch_to\w*)$/,
    'every task that sleeps stands in it, so the transition has to wait for each of them',
  ],
  [
    /^(?:do_exit|do_task_dead|make_task_dead|do_group_exit|kthread_exit|kthread_complete_and_exit)$/,
    'a task that is in it never comes back, and one that dies in it may never be switched',
  ],
  [
    /^(?:kthread|kthread_worker_fn|worker_thread|rescuer_thread|smpboot_thread_fn|kswapd|kcompactd|ksoftirqd\w*|rcu_gp_kthread|kauditd_thread|khugepaged|oom_reaper|kdevtmpfs|kjournald2)$/,
    'it is the main loop of a kernel thread, which stays in the old code as long as it runs',
  ],
  [
    /^(?:do_idle|cpu_startup_entry|default_idle_call|cpuidle_idle_call|start_secondary|rest_init)$/,
    'the idle tasks stay in it, and are switched only where the kernel calls klp_update_patch_state()',
  ],
  [
    /^(?:klp_\w+|ftrace_\w+|arch_ftrace_\w+|stack_trace_save_tsk_reliable|arch_stack_walk_reliable|unwind_next_frame|text_poke\w*)$/,
    'livepatch itself works through it',
  ],
  [
    /^(?:rcu_read_lock_trace\w*|rcu_irq_enter\w*|rcu_nmi_\w+|ct_\w+|exc_\w+|do_nmi\w*)$/,
    'it runs where RCU may not watch, which ftrace handlers count on',
  ],
];

/** Called directly, these put the caller to sleep. */
const sleepers =
  /^(?:schedule|schedule_timeout\w*|io_schedule\w*|wait_for_completion\w*|wait_on_\w+|__wait_on_\w+|msleep\w*|usleep_range\w*|mutex_lock\w*|down|down_read|down_write|down_interruptible|down_killable|rwsem_down_\w+|kthread_stop|flush_work|flush_workqueue|cancel_work_sync|cancel_delayed_work_sync|synchronize_\w+|read_iter|do_wait\w*)$/;

/**
 * @param before - the function as it runs, and its part put aside as unlikely
 */
export function findHazards(
  name: string,
  before: readonly (Atom | undefined)[],
  arch: Architecture,
): readonly Hazard[] {
  const parts = before.filter(atom => atom !== undefined);
  const hazards: Hazard[] = known
    .filter(([names]) => names.test(name))
    .map(([, why]) => ({ kind: 'known', text: `${name}() is dangerous to patch: ${why}` }));
  if (parts.length > 0 && parts.every(atom => !leaves(atom, parts, arch))) {
    hazards.push({
      kind: 'never-returns',
      text: `${name}() never returns: a task that is in it stays in the old code`,
    });
  }
  const calls = parts.flatMap(atom =>
    atom.references.flatMap(({ target }) => (target.kind === 'external' ? [target.name] : [])),
  );
  const sleeping = [...new Set(calls.filter(call => sleepers.test(call)))];
  if (sleeping.length > 0) {
    hazards.push({
      kind: 'sleeps',
      text: `${name}() may sleep in ${sleeping.map(call => `${call}()`).join(', ')}: the transition waits for tasks that do`,
    });
  }
  return hazards;
}

/** Whether a return or a jump out of the function is in its code. */
function leaves(atom: Atom, parts: readonly Atom[], arch: Architecture): boolean {
  const code = arch.decode(atom.bytes);
  for (let i = 0; i < code.count; i++) {
    if (code.flows[i] === Flow.return) return true;
    if (code.flows[i] !== Flow.jump && code.flows[i] !== Flow.branch) continue;
    const target = code.targets[i] ?? 0;
    const out = target < 0 || target >= atom.size;
    const reference = atom.references.find(({ offset }) => instructionAt(code, offset) === i);
    if (reference === undefined ? out : !isOneOf(reference.target, parts)) return true;
  }
  return false;
}

function isOneOf(target: Atom['references'][number]['target'], parts: readonly Atom[]): boolean {
  return target.kind === 'atom' && parts.includes(target.atom);
}
