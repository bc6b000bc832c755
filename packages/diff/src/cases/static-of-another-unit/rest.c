static __attribute__((noinline)) int helper(int a) { return a * 3 + 1; }
int other(int a) { return helper(a) + helper(a + 7); }
