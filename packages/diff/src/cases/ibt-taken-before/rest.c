void register_handler(void (*h)(void)) { }
void sealed(void) { }
asm(".section .rodata\n.globl __ibt_endbr_seal, __ibt_endbr_seal_end\n__ibt_endbr_seal: .long sealed - .\n__ibt_endbr_seal_end:\n.text");
