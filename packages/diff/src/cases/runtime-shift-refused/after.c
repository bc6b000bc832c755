int f(unsigned long x)
{
  asm("shrl $12, %k0\n1:\n.pushsection runtime_shift_d_hash_shift,\"a\"\n.long 1b - 1 - .\n.popsection" : "+r"(x));
  return x + 2;
}
