extern int outside(int);
static int fresh = 7;
static __attribute__((noinline)) int brand_new(int x) { return outside(x) + fresh++; }
int unused(int x) { return x; }
int f(int x) { return brand_new(x) + 1; }
