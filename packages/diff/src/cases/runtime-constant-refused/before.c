int f(unsigned long x)
{
  unsigned long limit;
  asm("mov %1, %0\n1:\n.pushsection runtime_ptr_dentry_hashtable,\"a\"\n.long 1b - 8 - .\n.popsection" : "=r"(limit) : "i"(0x0123456789abcdeful));
  return x <= limit ? 1 : -14;
}
int untouched(unsigned long x)
{
  unsigned long limit;
  asm("mov %1, %0\n1:\n.pushsection runtime_ptr_dentry_hashtable,\"a\"\n.long 1b - 8 - .\n.popsection" : "=r"(limit) : "i"(0x0123456789abcdeful));
  return x < limit;
}
