int f(int x) { return x; }
asm(".pushsection new_table,\"a\"\n.quad f\n.popsection");
