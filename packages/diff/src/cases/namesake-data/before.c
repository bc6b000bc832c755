static int state = 2;
int f(int x) { return state += x; }
