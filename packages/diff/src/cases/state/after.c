static const struct { unsigned long id, version; } state __attribute__((used, section(".kstitch.states"))) = { 7, 2 };
int f(int x) { return x + 1; }
