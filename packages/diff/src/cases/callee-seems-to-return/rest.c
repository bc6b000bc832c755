void stop(int x) { for (;;) asm volatile("hlt"); }
int step(int x) { return x; }
