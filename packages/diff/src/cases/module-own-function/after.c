static int __attribute__((noinline)) own(int x) { return x * 3; }
int f(int x) { return own(x) + 1; }
