asm(".pushsection .rodata.local, \"a\"\n.Llocal: .long 5\n.popsection");
int f(int x) { return x; }
