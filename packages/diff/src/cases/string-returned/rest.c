int seen(int x) { return x; }
