static char buffer[64] = { 1 };
extern void dma(void *);
int f(int a) { dma(buffer); return a; }
