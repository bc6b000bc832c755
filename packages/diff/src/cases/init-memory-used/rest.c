int __attribute__((section(".init.data"))) boot_only = 1;
