int exported_call(int x) { return x; }
