int f(int x) { return x; }
void leave(void) { f(3); }
