asm(".globl span\nspan = 6");
int f(int x) { return x; }
