extern void __attribute__((noreturn, cold)) stop(int);
int f(int x) { if (__builtin_expect(x < 0, 0)) stop(x); return x; }
