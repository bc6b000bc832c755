static int mode = 1;
int get(void) { return mode; }
int set(int v) { mode = v; return v; }
int __attribute__((section(".init.text"))) boot(void) { mode = 2; return 0; }
