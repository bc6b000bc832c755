static int mode __attribute__((section(".data..ro_after_init"))) = 1;
int get(void) { return mode; }
int set(int v) { return v; }
int __attribute__((section(".init.text"))) boot(void) { mode = 2; return 0; }
