extern int outside(int);
int helper_state;
static __attribute__((noinline)) int helper(int x) { return outside(x) + helper_state; }
int first(int x) { return helper(x) + 1; }
int second(int x) { return helper(x) + 2; }
