extern int wait(int);
extern void tell(int (*)(int));
extern void *kthread_create_on_node(int (*)(int), void *, int, const char *, ...);
static int talker(int x) { return wait(x) * 2; }
static int worker(int x) { return wait(x) + 1; }
int other(int x) { return wait(x) + 1; }
void *start(void) { tell(talker); return kthread_create_on_node(worker, 0, -1, "worker"); }
