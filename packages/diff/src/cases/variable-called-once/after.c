int once = 5;
int f(int x) { once += x; return once + 1; }
