extern int outside(int);
int f(int x) { return outside(x); }
