struct tracepoint { int on; };
struct tracepoint __tracepoint_own __attribute__((section("__tracepoints"))) = { 0 };
struct tracepoint __tracepoint_other __attribute__((section("__tracepoints"))) = { 0 };
int f(int x) { return __tracepoint_other.on - x; }
