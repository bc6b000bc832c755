static int n = 1;
static __attribute__((noinline)) int twin(int x) { return x * n++; }
int other(int x) { return twin(x) + twin(x + 1); }
