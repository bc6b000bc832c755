#define READ_MOSTLY __attribute__((section(".data..read_mostly")))
int exported_call(long);
static int READ_MOSTLY table[4];
static int READ_MOSTLY other;
int all(long v) { table[v] = v; other = v; return exported_call((long)&other); }
int f(void) { int sum = 0; for (int *at = table; at < table + 4; at++) sum += exported_call(*at); return sum + 1; }
int g(void) { return 1; }
