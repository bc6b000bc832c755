int exported_call(long);
asm(".pushsection .rodata\n.balign 32\n.type table, @object\n.size table, 32\ntable: .quad 1, 2, 3, 4\n.popsection");
extern const long table[4];
int a, b;
int all(long v) { return exported_call(table[v & 3]); }
int f(void) { int *copy[40] = { [0 ... 38] = &a, &b }; return exported_call((long)copy) + 2; }
