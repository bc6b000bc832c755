extern void register_handler(void (*)(void));
extern void sealed(void);
void f(void) { sealed(); sealed(); }
