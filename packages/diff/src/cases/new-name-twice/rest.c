static __attribute__((noinline)) int twice(int x) { return x * 2; }
int g(int x) { return twice(x); }
