extern void register_handler(int (*h)(int));
int work(int x) { if (x > 1) register_handler(work); return x + 1; }
