typedef int (*handler)(int);
extern void register_handler(handler);
void start(void) { register_handler(0); }
