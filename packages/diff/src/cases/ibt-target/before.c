extern void register_handler(void (*)(void));
extern void target(void);
void f(void) { target(); }
