int __attribute__((section(".init.text"))) g(int x) { return x + 3; }
int f(int x) { return x; }
