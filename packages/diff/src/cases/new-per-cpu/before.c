static int __attribute__((section(".data..percpu"))) budget = 5;
int f(void) { int r; asm("movl %%gs:%1, %0" : "=r"(r) : "m"(budget)); return r; }
