int arch_hook(int x) { return x + 7; }
