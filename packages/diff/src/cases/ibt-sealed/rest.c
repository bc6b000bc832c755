void register_handler(void (*h)(void)) { }
asm(".text\n.globl sealed\n.type sealed, @function\nsealed: endbr64\nret\n.size sealed, . - sealed");
asm(".section .rodata\n.globl __ibt_endbr_seal, __ibt_endbr_seal_end\n__ibt_endbr_seal: .long sealed - .\n__ibt_endbr_seal_end:\n.text");
