int f(int x) { return x; }
int __attribute__((cold)) slow(int x) { return x * 3; }
