int limit __attribute__((section(".init.data"))) = 3;
int f(int x) { return x; }
