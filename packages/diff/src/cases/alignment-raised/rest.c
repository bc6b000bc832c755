void dma(void *p) {}
