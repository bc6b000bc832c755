int f(int x) { return x + 1; }
static int (*const entry)(int) __attribute__((used, section("runtime_ptr_table"))) = f;
