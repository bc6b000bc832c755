int f(int *p, int x) {
  int v = 0;
  asm volatile("1: mov %1, %0\n2:\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.long 3\n.popsection" : "+r"(v) : "m"(*p));
  return v - x;
}
int untouched(int *p) {
  int v = 0;
  asm volatile("1: mov %1, %0\n2:\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.long 3\n.popsection" : "+r"(v) : "m"(*p));
  return v;
}
