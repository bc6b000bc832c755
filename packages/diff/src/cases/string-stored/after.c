struct dev { const char *name; int irq; };
void init_dev(struct dev *d, int a) { d->name = "eth"; d->irq = a + 1; }
