asm(".globl span\nspan = 5");
int f(int x) { return x; }
