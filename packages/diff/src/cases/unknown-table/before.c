int f(int x) {
  asm volatile("1:\n.pushsection new_table,\"a\"\n.long 1b - .\n.popsection");
  return x;
}
int g(int x) { return x; }
