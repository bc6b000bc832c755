int __attribute__((weak)) hook(int x) { return x + 1; }
int f(int x) { return hook(x); }
