import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clip, displayWidth, type Look, paint, printable, wrapText } from './render-text.ts';

const plain: Look = { columns: 80, colour: false, unicode: true };

test('wrapText() breaks at blanks and keeps every line within the width', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,15}$/), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 20, max: 120 }),
      (words, columns) => {
        const lines = wrapText(words.join(' '), columns);
        assert.ok(lines.every(line => line.length <= columns));
        assert.deepEqual(lines.join(' ').split(' '), words);
        // No line is broken before it has to be.
        for (const [index, line] of lines.slice(0, -1).entries()) {
          assert.ok(line.length + 1 + lines[index + 1]!.split(' ')[0]!.length > columns);
        }
      },
    ),
  );
});

test('wrapText() keeps a word that is wider than the line whole', () => {
  const path = `/${'long/'.repeat(20)}name`;
  assert.deepEqual(wrapText(`read ${path} again`, 40), ['read', path, 'again']);
});

test('wrapText() indents what follows the first line, and keeps the indentation that a line has', () => {
  assert.deepEqual(wrapText('one two\n    int x;', 20, '  note: '), [
    '  note: one two',
    '            int x;',
  ]);
});

test('printable() lets no terminal sequence through', () => {
  assert.equal(printable('a\x1b[31mred\x1b[0m\x07b\r'), 'ared\\x07b\\x0d');
  assert.equal(printable('\x9b2Jx\u202egnp'), 'x\\u202egnp');
  assert.equal(printable('\x1b]0;title\x07rest'), 'rest');
  assert.equal(printable('two\r\nlines\tand a tab'), 'two\nlines  and a tab');
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => !/[^\P{Cc}\n]/u.test(printable(text))));
});

test('clip() cuts by columns, not by characters, and says that it cut', () => {
  assert.equal(clip('compile fs/ext4/mballoc.c', 12, plain), 'compile fs/…');
  assert.equal(clip('compile fs/ext4/mballoc.c', 12, { ...plain, unicode: false }), 'compile fs/~');
  assert.equal(clip('short', 12, plain), 'short');
  assert.equal(clip('漢字漢字', 5, plain), '漢字…');
  assert.equal(clip('text', 0, plain), '');
});

test('displayWidth() counts the columns of wide and of combining characters', () => {
  assert.equal(displayWidth('ab'), 2);
  assert.equal(displayWidth('漢'), 2);
  assert.equal(displayWidth('e\u0301'), 1);
});

test('paint() colours only where there are colours', () => {
  assert.equal(paint(plain, 'red', 'x'), 'x');
  assert.equal(paint({ ...plain, colour: true }, 'red', 'x'), '\x1b[31mx\x1b[39m');
});
