int f(int x) { return x; }
static int __attribute__((section(".init.text"))) setup(void) { return f(3); }
static int __attribute__((section(".init.text"))) start(void) { return f(4); }
int (*entry)(void) __attribute__((section(".initcall7.init"), used)) = setup;
