extern int _printk(const char *, ...), strcmp(const char *, const char *);
int say(const char *word, int x) { if (strcmp(word, "quiet") == 0) return 1; return _printk("%d\n", x + 2) + 1; }
