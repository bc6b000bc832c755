int __attribute__((section(".init.text"))) setup(int x) { return x + 2; }
int f(int x) { return x; }
