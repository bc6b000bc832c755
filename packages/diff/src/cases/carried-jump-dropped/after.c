extern int outside(int);
static __attribute__((noinline, no_instrument_function)) int left(int x) { return outside(x) + 10; }
int first(int x) { return left(x + 1) * 3; }
