extern void __attribute__((cold)) fail(int);
int f(int x) { if (__builtin_expect(x < 0, 0)) { fail(x); fail(x + 1); return 1; } return x; }
