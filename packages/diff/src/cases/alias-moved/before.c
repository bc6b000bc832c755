int g(int); int __attribute__((noinline)) one(int x) { return g(x) * 3; }
int __attribute__((noinline)) two(int x) { return g(x) * 5; }
int name(int x) __attribute__((alias("one")));
