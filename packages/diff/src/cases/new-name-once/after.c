extern int twice(int);
int f(int x) { return twice(x); }
