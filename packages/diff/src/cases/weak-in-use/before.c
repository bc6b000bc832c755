int __attribute__((weak)) hook(int x) { return x; }
int f(int x) { return hook(x); }
