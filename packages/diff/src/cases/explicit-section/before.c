#define __sched __attribute__((section(".sched.text")))
int __sched one(int x) { return x + 1; }
int __sched two(int x) { return x + 2; }
int __sched three(int x) { return x + 3; }
