int exported_call(const char *text) { return 0; }
