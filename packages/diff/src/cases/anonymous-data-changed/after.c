extern void sink(const int *);
void f(int x) { const int table[6] = { 11, 12, 99, 14, 15, 16 }; int copy[6]; for (int i = 0; i < 6; i++) copy[i] = table[(i * x) & 3]; sink(copy); }
int g(int x) { return x; }
