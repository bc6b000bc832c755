extern int helper(void *p, int a);
int f(int a) { return helper(&a, a); }
