static int __attribute__((section(".data..percpu"))) budget = 5;
static int __attribute__((section(".data..percpu"))) fresh;
int f(void) { int r; asm("movl %%gs:%1, %0" : "=r"(r) : "m"(budget)); int s; asm("movl %%gs:%1, %0" : "=r"(s) : "m"(fresh)); return r + s; }
