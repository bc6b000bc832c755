void warn(const char *s) { }
