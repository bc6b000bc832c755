int f(int x) { return x; }
int __attribute__((section(".sched.text"))) wait_here(int x) { return f(x) * 3; }
