#define READ_MOSTLY __attribute__((section(".data..read_mostly")))
int exported_call(long);
static int READ_MOSTLY fresh;
int g(int v) { static int READ_MOSTLY _rs[4]; return exported_call((long)&_rs) + v; }
int f(void) { return exported_call((long)&fresh); }
