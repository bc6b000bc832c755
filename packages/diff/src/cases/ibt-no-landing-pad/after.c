extern void register_handler(void (*)(void));
extern void called(void);
void f(void) { called(); register_handler(called); }
