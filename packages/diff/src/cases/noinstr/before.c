int __attribute__((section(".noinstr.text"), no_instrument_function)) enter(int x) { return x + 1; }
int f(int x) { return enter(x); }
