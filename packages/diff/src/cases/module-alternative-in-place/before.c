#define ALTERNATIVE(old, new) "661:\n\t" old "\n662:\n" \
  ".pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 6641f - .\n.word 42\n.byte 662b-661b\n.byte 6651f-6641f\n.popsection\n" \
  ".pushsection .altinstr_replacement,\"ax\"\n6641:\n\t" new "\n6651:\n.popsection"

extern int exported_call(int);
int __attribute__((noinline)) fast(int x) { return x; }
int f(int x) {
  asm volatile(ALTERNATIVE("call fast", "call exported_call") ::: "memory");
  return x;
}
