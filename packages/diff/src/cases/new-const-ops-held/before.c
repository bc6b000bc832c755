struct ops { int kind; const char *n; }; struct dev { const struct ops *o; };
void open_dev(struct dev *d, int a) { d->o = 0; }
