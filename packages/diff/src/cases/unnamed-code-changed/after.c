asm(".pushsection .text.local, \"ax\"\n.Llocal: movl $6, %eax\nret\n.popsection");
int f(int x) { return x; }
