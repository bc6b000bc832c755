#define CALLBACK(n, fn) static const struct { unsigned long kind; void (*function)(void); } callback_##fn __attribute__((used, section(".kstitch.callbacks"))) = { n, fn };
extern int kstitch_patch;
int limit = 1;
void old(void) { limit = 3; }
static __attribute__((noinline)) void helper(void) { limit = 2; }
static void save(void) { helper(); old(); kstitch_patch++; }
CALLBACK(0, save)
static void restore(void) { limit = 1; }
CALLBACK(3, restore)
int f(int x) { return x + limit; }
