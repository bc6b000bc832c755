int use(const int *p) { return p[0]; }
