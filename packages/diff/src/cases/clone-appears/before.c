extern int outside(int);
static __attribute__((noinline)) int scale(int x, int by) { return outside(x) * by + outside(by); }
int f(int x) { return scale(x, 3); }
int g(int x) { return scale(x, 4); }
