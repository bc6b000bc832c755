int exported_call(long x) { return x != 0; }
