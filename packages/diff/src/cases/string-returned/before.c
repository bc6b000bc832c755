extern int seen(int);
const char *name_of(int x) { return seen(x) ? "yes" : "no"; }
