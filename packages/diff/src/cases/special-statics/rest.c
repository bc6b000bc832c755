void say(const char *s, void *p) { }
void lock(void *p) { }
