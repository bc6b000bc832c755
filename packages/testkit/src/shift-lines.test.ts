import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePatch } from '@kstitch/build/patch/parse-patch';
import { shiftLinesPatch } from './shift-lines.ts';

const source = `/* a
 * comment */
#define SUM(a, b) \\
	((a) + (b))
int f(int x,
      int y)
{
	return SUM(x,
		   y);
}
`;

function shift(text: string) {
  const patch = shiftLinesPatch('a.c', text, () => 0.05, 1);
  const [file] = parsePatch({ name: 'shift.patch', bytes: Buffer.from(patch, 'latin1') }).files;
  assert.ok(file !== undefined);
  return file.hunks.flatMap(hunk => hunk.lines);
}

test('shiftLinesPatch() adds lines and takes none away', () => {
  const lines = shift(source);
  const kept = lines.filter(({ kind }) => kind !== 'add').map(line => line.text);
  assert.equal(kept.join(''), source);
  assert.ok(lines.some(({ kind }) => kind === 'add'));
});

test('shiftLinesPatch() splits no comment, no macro and nothing in brackets', () => {
  const lines = shift(source);
  const below = lines.flatMap(({ kind }, i) => (kind === 'add' ? [lines[i + 1]?.text ?? ''] : []));
  assert.deepEqual(below, [
    '/* a\n',
    '#define SUM(a, b) \\\n',
    'int f(int x,\n',
    '{\n',
    '\treturn SUM(x,\n',
    '}\n',
  ]);
});
