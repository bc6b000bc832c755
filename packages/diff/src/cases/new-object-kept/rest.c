struct node { struct node *next; int v; } *head;
void add_node(struct node *n) { n->next = head; head = n; }
