#define BRANCH(key) ({ \
  __label__ yes; \
  int on = 0; \
  asm goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t.pushsection __jump_table, \"aw\"\n\t.balign 8\n\t" \
           ".long 1b - ., %l[yes] - .\n\t.quad %c0 + %c1 - .\n\t.popsection" : : "i"(key), "i"(0) : : yes); \
  if (0) yes: on = 1; \
  on; })
struct static_key { int enabled; void *entries; };

struct tracepoint { const char *name; struct static_key key; };
struct tracepoint __tracepoint_own __attribute__((section("__tracepoints"))) = { "own" };
extern int exported_call(int);
int f(int x) {
  if (BRANCH(&__tracepoint_own.key)) exported_call(x);
  if (BRANCH(&__tracepoint_own.key)) exported_call(x + 1);
  return x;
}
