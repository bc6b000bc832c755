int f(int x) { return x; }
int wait_here(int x) { return f(x) * 3; }
