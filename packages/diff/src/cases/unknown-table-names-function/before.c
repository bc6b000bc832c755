int f(int x) { return x; }
static int (*const entry)(int) __attribute__((used, section("runtime_ptr_table"))) = f;
