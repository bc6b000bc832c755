void use(const void *p) { }
