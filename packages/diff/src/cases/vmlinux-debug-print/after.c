#define BRANCH(key) ({ \
  __label__ yes; \
  int on = 0; \
  asm goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t.pushsection __jump_table, \"aw\"\n\t.balign 8\n\t" \
           ".long 1b - ., %l[yes] - .\n\t.quad %c0 + %c1 - .\n\t.popsection" : : "i"(key), "i"(0) : : yes); \
  if (0) yes: on = 1; \
  on; })
struct static_key { int enabled; void *entries; };

struct _ddebug { const char *modname, *function, *filename, *format; unsigned line; struct static_key key; } __attribute__((aligned(8)));
extern int exported_printk(const char *);
#define pr_debug(text) do { \
  static struct _ddebug __attribute__((section("__dyndbg"), used)) __UNIQUE_ID_ddebug7 = { "unit", __func__, "unit.c", text, 7 }; \
  if (BRANCH(&__UNIQUE_ID_ddebug7.key)) exported_printk(text); \
} while (0)

int f(int x) { pr_debug("in f\n"); return x + 1; }
