extern void sealed(void);
int f(void *p) { return p >= (void *)sealed; }
