extern int pick(int); int schedule(int x) { return pick(x) + 2; }
