extern int outside(int);
static int heavy(int x) {
  if (x < 100) return x;
  for (int i = 0; i < x; i++) x += outside(x) * outside(i) + outside(x - i);
  return outside(x) + outside(x + 1) + outside(x + 2) + outside(x + 3);
}
int f(int x) { return heavy(x) + 1; }
int g(int x) { return heavy(x + 1) + heavy(x + 2); }
