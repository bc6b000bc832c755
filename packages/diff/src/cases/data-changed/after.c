int table[2] = { 1, 3 };
int f(int i) { return table[i]; }
