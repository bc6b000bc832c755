extern int slow(int), fast(int);
int f(int x) {
  asm volatile("661:\n\tcall slow\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 6641f - .\n.word 42\n.byte 662b-661b\n.byte 6651f-6641f\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n6641:\n\tcall fast\n6651:\n.popsection" ::: "memory");
  return x + 1;
}
