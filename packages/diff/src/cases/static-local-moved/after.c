int tick(int x) { return x; }
int tock(int x) { static int count; return count += x; }
