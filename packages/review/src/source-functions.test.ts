import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskSource } from './masked-source.ts';
import { findSourceFunctions } from './source-functions.ts';
import { splitLines } from './source-text.ts';

function functionsOf(source: string): string[] {
  return findSourceFunctions(maskSource(splitLines(source))).map(
    ({ names, from, to }) => `${names[0]} ${from}-${to}`,
  );
}

test('functions by the layout of the kernel', () => {
  const source = `static int one(int a)
{
	if (a) {
		return 2;
	}
	return 0;
}

/* not_me(void)
{
} */
static noinline_for_stack
struct page *two(struct page *page,
		 int (*get)(void))
	__releases(&lock)
{
	return page;
}
static inline int three(void) { return 3; }
static const struct ops ops = {
	.f = one,
};
struct with_brace
{
	int a;
};
int four(void) {
	return 4;
}
SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)
{
	return 0;
}
`;
  assert.deepEqual(functionsOf(source), [
    'one 1-7',
    'two 12-18',
    'three 19-19',
    'four 27-29',
    '__do_sys_read 30-33',
  ]);
});

test('masking keeps lines and columns', () => {
  const lines = ['a /* b\n', 'c */ d("e{", \'{\'); // f\n', 'g\n'];
  const masked = maskSource(lines);
  assert.deepEqual(masked, ['a     \n', '     d("  ", \' \');     \n', 'g\n']);
  assert.deepEqual(
    masked.map(line => line.length),
    lines.map(line => line.length),
  );
});
