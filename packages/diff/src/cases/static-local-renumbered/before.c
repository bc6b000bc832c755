int tick(int x) { static int count; return count += x; }
int tock(int x) { static int count; return count -= x; }
