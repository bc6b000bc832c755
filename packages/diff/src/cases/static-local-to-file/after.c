static int count = 3;
int f(void) { return 1; }
int g(int a) { return a + ++count; }
