static int state = 2;
static __attribute__((noinline)) int twin(int x) { return x + state; }
int f(int x) { return twin(x); }
