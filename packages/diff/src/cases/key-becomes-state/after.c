extern void lock(void *);
int f(int x) {
  static struct { int a; } __key;
  lock(&__key);
  return x + __key.a++;
}
