extern int outside(int);
struct pair { int a, b; };
static __attribute__((noinline)) int sum(struct pair *p) { return outside(p->a) * 3; }
int f(int x) { struct pair p = { x, 2 }; return sum(&p); }
int g(int x) { struct pair p = { x, 3 }; return sum(&p) * 2; }
