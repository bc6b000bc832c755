#define CALLBACK(n, fn) static const struct { unsigned long kind; void (*function)(void); } callback_##fn __attribute__((used, section(".kstitch.callbacks"))) = { n, fn };
int limit = 1;
void old(void) { limit = 3; }
CALLBACK(1, old)
int f(int x) { return x + limit; }
