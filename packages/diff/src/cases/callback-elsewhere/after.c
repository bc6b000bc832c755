#define CALLBACK(n, fn) static const struct { unsigned long kind; void (*function)(void); } callback_##fn __attribute__((used, section(".kstitch.callbacks"))) = { n, fn };
int limit = 1;
void old(void) { limit = 3; }
void elsewhere(void);
CALLBACK(1, elsewhere)
int f(int x) { return x + limit; }
