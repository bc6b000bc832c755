static int twin_count = 1;
static __attribute__((noinline)) int twin(int x) { return x * twin_count++; }
int other(int x) { return twin(x) + twin(x + 1); }
