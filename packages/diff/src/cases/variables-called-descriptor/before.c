extern int outside(int);
int f(int x) {
  static int descriptor, __key, __warned, _rs;
  if (!__warned) __warned = outside(x);
  return descriptor++ + __key++ + _rs++;
}
