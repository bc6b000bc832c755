int limit = 1;
void old(void) { limit = 3; }
int f(int x) { return x + limit; }
