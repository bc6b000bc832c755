int f(int x) { return x; }
static int (*const entry)(int) __attribute__((used, section("new_table"))) = f;
