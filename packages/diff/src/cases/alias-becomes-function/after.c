int g(int); int __attribute__((noinline)) one(int x) { return g(x) * 3; }
int name(int x) { return g(x) * 5; }
