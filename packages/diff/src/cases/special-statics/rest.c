void say_printk(const char *s, void *p) { }
void lock(void *p) { }
