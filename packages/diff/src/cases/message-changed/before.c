extern void warn(const char *);
void f(void) { warn("old words"); }
void g(void) { warn("other words"); }
