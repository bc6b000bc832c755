void lock(void *p) { }
