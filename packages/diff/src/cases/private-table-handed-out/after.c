struct ops { int limit; };
extern void use(const struct ops *);
static const struct ops operations = { 2 };
void f(void) { use(&operations); }
