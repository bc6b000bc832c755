void register_handler(int (*h)(int)) { }
