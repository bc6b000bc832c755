static int limit;
struct p { int *where; } parameter __attribute__((used, section("__param"))) = { &limit };
int f(int x) { return x + limit; }
