int f(int x) { return x + 1; }
int slow(int x) { return x * 3; }
