extern int other_module_call(int);
int f(int x) { return x; }
int g(int x) { return other_module_call(x); }
