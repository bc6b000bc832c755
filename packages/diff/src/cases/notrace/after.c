int __attribute__((no_instrument_function)) f(int x) { return x + 1; }
