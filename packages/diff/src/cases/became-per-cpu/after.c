static __attribute__((section(".data..percpu"))) int budget = 5;
int f(void) { int r; asm volatile("decl %%gs:%1; movl %%gs:%1, %0" : "=r"(r), "+m"(budget)); return r; }
void reset(void) { asm volatile("movl $5, %%gs:%0" : "=m"(budget)); }
