struct ops { int kind; const char *n; }; struct dev { const struct ops *o; };
static const struct ops quirk = { 3, "quirk" };
void open_dev(struct dev *d, int a) { d->o = a ? &quirk : 0; }
