int table[3];
int f(int i) { return table[i]; }
