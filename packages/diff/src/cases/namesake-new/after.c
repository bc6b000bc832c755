extern int twin(int);
int f(int x) { return twin(x); }
