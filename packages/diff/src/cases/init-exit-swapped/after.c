int __attribute__((section(".exit.text"))) g(int x) { return x + 3; }
int f(int x) { return x; }
