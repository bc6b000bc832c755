extern int boot_only;
int f(int x) { return x + boot_only; }
