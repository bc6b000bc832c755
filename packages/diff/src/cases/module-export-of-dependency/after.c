extern int other_module_call(int), other_module_more(int);
int f(int x) { return other_module_more(x); }
int g(int x) { return other_module_call(x); }
