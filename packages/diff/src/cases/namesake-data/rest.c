static int state = 1;
int g(int x) { return state += x; }
