/** What is read of the machine has limits: a file that is longer is none that the kernel writes. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** In bytes. */
export const limits = {
  /** One value of sysfs or of /proc/sys: the kernel itself gives them a page. */
  attribute: 64 * KIB,
  /** `/proc/PID/stack`: at most 100 entries (kernel/stacktrace.c users), each with a name of at most 512 characters. */
  stack: 128 * KIB,
  /** `/sys/kernel/notes`: a page. */
  notes: MIB,
  /** `/proc/modules`: some 100 bytes a module. */
  modules: 8 * MIB,
  /** `available_filter_functions` has 2 MiB, some 60 thousand lines. */
  functions: 64 * MIB,
  /** `/proc/kallsyms`: 6 MiB, 150 thousand lines. */
  kallsyms: 64 * MIB,
  /** `kprobes/list`: 60 bytes a probe. */
  kprobes: 16 * MIB,
  /** The journal: some 300 bytes an action. */
  journal: 64 * MIB,
  /** `/etc/kstitch.toml`, which has four settings; telling the line of a mistake takes the square of it. */
  config: 16 * KIB,
  /** A livepatch and its record, as in the store. */
  livepatch: 256 * MIB,
  bundle: 64 * MIB,
} as const;

/** Seconds. */
export const times = {
  /** Between two looks at a transition; the kernel itself tries once a second. */
  poll: 0.04,
  /** The same when it has taken long. */
  longestPoll: 0.2,
  /** Between two looks at who is in the way of it, at least. */
  blockers: 1,
  /** Between the two looks at all stacks before a module is removed. */
  betweenLooks: 1,
  /** For the kernel to let go of a module once it is disabled; a worker does it (kernel/livepatch/core.c). */
  release: 10,
  /** A transition that began longer ago is stuck: the kernel has woken everybody it can four times by then. */
  stuck: 60,
  /** After a second try at boot was due it may still come to insmod: the wait for the lock, a grace time, the preflight come first. */
  late: 180,
} as const;
