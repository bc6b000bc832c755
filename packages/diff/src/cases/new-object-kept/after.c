struct node { struct node *next; int v; };
extern void add_node(struct node *);
static struct node mine = { .v = 3 };
int f(int a) { add_node(&mine); return a; }
