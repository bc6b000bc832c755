static const char __UNIQUE_ID_alias10[] __attribute__((used, section(".modinfo"))) = "alias=one";
static const char __UNIQUE_ID_alias11[] __attribute__((used, section(".modinfo"))) = "alias=two";
int f(int x) { return x; }
