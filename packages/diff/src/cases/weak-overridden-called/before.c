int __attribute__((weak)) arch_hook(int x) { return x; }
int f(int x) { return arch_hook(x) + 1; }
