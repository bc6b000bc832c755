extern void warn(const char *);
void f(void) { warn("new words"); }
void g(void) { warn("other words"); }
