#define READ_MOSTLY __attribute__((section(".data..read_mostly")))
int exported_call(long);
static int READ_MOSTLY old;
static int READ_MOSTLY fresh;
static int READ_MOSTLY table[4];
int all(long v) { table[0] = v; old = v; return exported_call((long)&table) + exported_call((long)&old); }
int set(int v) { fresh = v; return 1; }
int f(void) { return exported_call(fresh); }
