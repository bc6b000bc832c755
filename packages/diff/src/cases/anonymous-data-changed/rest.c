void sink(const int *p) { }
