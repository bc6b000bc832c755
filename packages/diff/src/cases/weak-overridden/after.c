int __attribute__((weak)) arch_hook(int x) { return x + 1; }
int f(int x) { return arch_hook(x) + 1; }
