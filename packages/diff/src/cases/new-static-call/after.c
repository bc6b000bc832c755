int f(int x) { return x; }
asm(".pushsection .static_call.text, \"ax\"\n.globl __SCT__fresh\n__SCT__fresh: jmp f\n.type __SCT__fresh, @function\n.size __SCT__fresh, . - __SCT__fresh\n.popsection");
