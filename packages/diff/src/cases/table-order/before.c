int f(int *p) {
  int v = 0;
  asm volatile("1: mov %1, %0\n2:\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.long 3\n.popsection" : "+r"(v) : "m"(*p));
  asm volatile("1: lock; incl %0\n.pushsection .smp_locks,\"a\"\n.balign 4\n.long 1b - .\n.popsection" : "+m"(*p));
  return v;
}
int caller(int *p) { return *p; }
