extern int outside(int);
static __attribute__((noinline, no_instrument_function)) int inner(int x) { return outside(x) + 10; }
static __attribute__((noinline, no_instrument_function)) int outer(int x) { return inner(x) * 3; }
int first(int x) { return outer(x) + 1; }
int second(int x) { return inner(x) + 4; }
