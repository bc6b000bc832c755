int f(int x) {
  asm volatile("1:\n.pushsection runtime_ptr_USER_PTR_MAX,\"a\"\n.long 1b - .\n.popsection");
  return x;
}
int g(int x) { return x; }
