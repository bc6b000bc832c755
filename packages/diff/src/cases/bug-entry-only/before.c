int f(int x) {
  asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n.long 1b - .\n.long 0\n.word 10\n.word 1\n.org . \n.popsection");
  return x;
}
