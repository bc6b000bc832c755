int outside(int x) { return x; }
void say(const char *text) {}
