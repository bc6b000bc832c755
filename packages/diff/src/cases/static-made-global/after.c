__attribute__((noinline)) int helper(int x) { return x * 3; }
int f(int x) { return helper(x) + 1; }
