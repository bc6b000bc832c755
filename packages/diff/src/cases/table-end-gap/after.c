#define READ_MOSTLY __attribute__((section(".data..read_mostly")))
int exported_call(long);
static long READ_MOSTLY other;
static char READ_MOSTLY table[3];
int all(long v) { table[v] = v; other = v; return exported_call((long)&other); }
int f(void) { int sum = 0; for (char *at = table; at < table + 3; at++) sum += exported_call(*at); return sum + 2; }
