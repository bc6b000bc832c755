int __attribute__((section(".init.text"))) setup(int x) { return x + 1; }
int f(int x) { return x; }
