int extra(int x) { static int other; return other += x; }
int tick(int x) { static int count; return (count += x) + 1; }
int tock(int x) { static int count; return count -= x; }
