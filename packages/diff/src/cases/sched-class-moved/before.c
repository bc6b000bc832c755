struct sched_class { int (*enqueue)(int); };
static int enqueue(int x) { return x + 1; }
const struct sched_class a_class __attribute__((section("__dl_sched_class"))) = { enqueue };
