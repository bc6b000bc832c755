int f(int x) { return x + 1; }
static int (*const entry)(int) __attribute__((used, section("new_table"))) = f;
