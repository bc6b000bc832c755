struct st { int n; int max; };
static struct st *const state = &(struct st){ .n = 0, .max = 5 };
int f(void) { return state->n++; }
int g(void) { return state->n; }
