int f(int x) { return x; }
asm(".pushsection runtime_ptr_fixups,\"a\"\n.quad f\n.quad f\n.popsection");
