int f(int x) { return x + 1; }
static const struct { void *what; } __ksymtab_f __attribute__((used, section("___ksymtab+f"))) = { f };
