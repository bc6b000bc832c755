extern void warn(const char *);
int f(int x) {
  static _Bool __attribute__((section(".data..once"))) __already_done;
  if (x > 3 && !__already_done) { __already_done = 1; warn("f"); }
  return x;
}
