static int limits[4] = { 1, 2, 3, 4 };
extern int use(const int *);
int f(int i) { return use(limits); }
int set(int i, int v) { limits[i & 3] = v; return i + v; }
