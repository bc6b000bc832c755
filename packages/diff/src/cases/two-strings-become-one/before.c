extern void warn(const char *);
void f(void) { warn("first"); warn("second"); }
