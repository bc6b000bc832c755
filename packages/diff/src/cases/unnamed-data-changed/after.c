asm(".pushsection .rodata.local, \"a\"\n.Llocal: .long 6\n.popsection");
int f(int x) { return x; }
