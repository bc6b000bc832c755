struct ops { int limit; };
extern void use(const struct ops *);
static const struct ops operations = { 1 };
void f(void) { use(&operations); }
