struct ops { int (*call)(int); int limit; };
int f(int i) { return i; }
const struct ops operations = { f, 2 };
