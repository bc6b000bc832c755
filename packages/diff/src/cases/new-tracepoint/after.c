struct tracepoint { const char *name; void *funcs; };
struct tracepoint __tracepoint_fresh __attribute__((section("__tracepoints"))) = { "fresh" };
int f(int x) { return __tracepoint_fresh.funcs ? 7 : x; }
