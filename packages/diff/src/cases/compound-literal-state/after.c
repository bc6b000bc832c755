struct st { int n; int max; };
static struct st *const state = &(struct st){ .n = 0, .max = 5 };
int f(void) { if (state->n > 3) return -1; return state->n++; }
int g(void) { return state->n; }
