int __attribute__((noinline)) real(int x) { return x * 5; }
int other_name(int x) __attribute__((alias("real")));
int f(int x) { return other_name(x); }
