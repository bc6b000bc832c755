int limit = 3;
int f(int x) { return x + limit; }
