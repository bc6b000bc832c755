asm(".pushsection .static_call.text, \"ax\"\n.globl __SCT__own\n__SCT__own: ret\n.type __SCT__own, @function\n.size __SCT__own, . - __SCT__own\n.popsection");
extern int __SCT__own(int);
int f(int x) { return __SCT__own(x) + 1; }
