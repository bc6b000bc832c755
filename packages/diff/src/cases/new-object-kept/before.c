struct node { struct node *next; int v; };
extern void add_node(struct node *);
int f(int a) { return a; }
