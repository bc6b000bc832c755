int f(int x) { return x; }
void leave(void) { f(3); }
void cleanup_module(void) __attribute__((alias("leave")));
