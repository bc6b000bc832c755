asm(".pushsection .text.local, \"ax\"\n.Llocal: movl $5, %eax\nret\n.popsection");
int f(int x) { return x; }
