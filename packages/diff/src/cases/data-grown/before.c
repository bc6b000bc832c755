int table[2];
int f(int i) { return table[i]; }
