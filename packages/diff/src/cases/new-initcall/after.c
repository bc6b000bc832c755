int f(int x) { return x; }
static int __attribute__((section(".init.text"))) begin(void) { return f(1); }
static int (*__initcall__kmod_unit__7_4_begin6)(void) __attribute__((section(".initcall6.init"), used)) = begin;
