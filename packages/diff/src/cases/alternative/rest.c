int slow(int x) { return x; }
int fast(int x) { return x; }
