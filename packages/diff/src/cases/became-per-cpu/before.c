static int budget = 5;
int f(void) { return --budget; }
void reset(void) { budget = 5; }
