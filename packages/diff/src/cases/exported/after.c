extern int exported_call(int);
int f(int x) { return exported_call(x) + 1; }
