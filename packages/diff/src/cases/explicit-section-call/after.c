#define __sched __attribute__((section(".sched.text"), noinline))
extern int g(int);
static int __sched callee(int x) { return g(x) + g(x + 1); }
int __sched caller(int x) { return callee(x) + 2; }
