#define BRANCH(key) ({ \
  __label__ yes; \
  int on = 0; \
  asm goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t.pushsection __jump_table, \"aw\"\n\t.balign 8\n\t" \
           ".long 1b - ., %l[yes] - .\n\t.quad %c0 + %c1 - .\n\t.popsection" : : "i"(key), "i"(0) : : yes); \
  if (0) yes: on = 1; \
  on; })
struct static_key { int enabled; void *entries; };

struct static_key shared;
static struct static_key own;
int f(int x) {
  if (BRANCH(&shared)) return 7;
  if (BRANCH(&own)) return 9;
  return x + 1;
}
