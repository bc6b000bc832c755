extern void stop(int);
extern int step(int);
int f(int x) {
  if (x > 9) stop(x);
  x = step(x);
  stop(x);
  return step(x + 1) * 5;
}
