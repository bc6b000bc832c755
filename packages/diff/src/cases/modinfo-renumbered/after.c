static const char __UNIQUE_ID_alias12[] __attribute__((used, section(".modinfo"))) = "alias=one";
static const char __UNIQUE_ID_alias13[] __attribute__((used, section(".modinfo"))) = "alias=two";
int f(int x) { return x + 1; }
