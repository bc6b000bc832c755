void fail(int x) { }
