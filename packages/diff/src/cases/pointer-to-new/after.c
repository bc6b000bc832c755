typedef int (*handler)(int);
extern void register_handler(handler);
static int work(int x) { return x + 2; }
void start(void) { register_handler(work); }
