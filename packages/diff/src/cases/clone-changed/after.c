extern int outside(int);
static __attribute__((noinline)) int scale(int x, int by) { return outside(x + 1) * by + outside(by); }
int f(int x) { return scale(x, 3); }
