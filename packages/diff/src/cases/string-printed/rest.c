int _printk(const char *text, ...) { return text[0]; } int strcmp(const char *a, const char *b) { return *a - *b; }
