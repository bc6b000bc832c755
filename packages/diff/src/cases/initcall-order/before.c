int f(int x) { return x; }
static int __attribute__((section(".init.text"))) setup(void) { return f(3); }
static int __attribute__((section(".init.text"))) start(void) { return f(4); }
void *const keep[] __attribute__((section(".init.data"), used)) = { setup, start };
asm(".pushsection .initcall6.init, \"a\"\n__initcall__kmod_unit__100_5_setup6:\n.long setup - .\n.popsection");
asm(".pushsection .initcall6.init, \"a\"\n__initcall__kmod_unit__101_7_start6:\n.long start - .\n.popsection");
