__attribute__((section(".init.text"))) void jump_label_init_ro(void) { }
