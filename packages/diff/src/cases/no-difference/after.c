/* the same, said in other words */
int f(int x) { return x + x; }
