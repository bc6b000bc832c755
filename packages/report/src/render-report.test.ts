import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { diagnostic, Refusal } from './diagnostic.ts';
import { KstitchError } from './error.ts';
import { placeText, renderDiagnostics, renderError } from './render-report.ts';
import type { Look } from './render-text.ts';

const plain: Look = { columns: 80, colour: false, unicode: true };

test('renderError() shows code, text, notes and help, wrapped to 80 columns', () => {
  const error = new KstitchError(
    'input-unreadable',
    "read patch '0001-ext4-fix-NULL-folio-dereference-in-mballoc.patch': permission denied for this user",
    {
      notes: [
        'the folder above it belongs to another user, and its permissions keep everybody else out of it',
        'second',
      ],
    },
  );
  assert.deepEqual(renderError(error, plain), [
    'error[input-unreadable]: read patch',
    "  '0001-ext4-fix-NULL-folio-dereference-in-mballoc.patch': permission denied for",
    '  this user',
    '  note: the folder above it belongs to another user, and its permissions keep',
    '        everybody else out of it',
    '  note: second',
    '  help: check the path, and that this user may read what is there',
  ]);
});

test('renderError() keeps the lines of a compiler as they are', () => {
  const words = 'fs/x.c:3:9: error: expected expression\n    3 |     return;\n      |         ^';
  assert.deepEqual(
    renderError(new KstitchError('internal-error', 'x', { notes: [words], help: '' }), plain).slice(1),
    [
      '  note: fs/x.c:3:9: error: expected expression',
      '            3 |     return;',
      '              |         ^',
    ],
  );
});

test('renderError() shows all findings of a refusal, the worst first, with their places', () => {
  // Any code will do to see the form; the severity comes from the catalogue.
  const refused = {
    ...diagnostic(
      'usage',
      { unit: 'fs/ext4/mballoc.c', symbol: 'ext4_mb_foo', offset: 0x1c },
      'no ftrace site',
    ),
    help: 'patch its callers',
  };
  const caution = { ...refused, severity: 'caution', text: 'later' } as const;
  const lines = renderError(new Refusal([caution, refused]), plain);
  assert.deepEqual(lines, [
    'error[usage]: no ftrace site',
    '  at fs/ext4/mballoc.c: ext4_mb_foo()+0x1c',
    '  help: patch its callers',
    '',
    'error[usage]: later',
    '  at fs/ext4/mballoc.c: ext4_mb_foo()+0x1c',
    '  help: patch its callers',
  ]);
});

test('colour changes no character of the text, and hostile text brings none of its own', () => {
  const findings = [
    diagnostic('usage', { file: 'a\x1b[2J.patch', line: 3 }, 'text\x1b]0;owned\x07 and more'),
  ];
  const coloured = renderDiagnostics(findings, { ...plain, colour: true });
  assert.match(coloured.join('\n'), /\x1b\[31m/);
  assert.doesNotMatch(coloured.join('\n'), /\x1b\[2J|\x1b\]0/);
  assert.deepEqual(coloured.map(stripVTControlCharacters), renderDiagnostics(findings, plain));
});

test('placeText() says what is known', () => {
  assert.equal(placeText({}), '');
  assert.equal(placeText({ object: 'vmlinux' }), 'vmlinux');
  assert.equal(placeText({ object: 'vmlinux', unit: 'fs/ext4/super.c' }), 'fs/ext4/super.c');
  assert.equal(placeText({ object: 'nf_tables', unit: 'net/x.c', symbol: 'f()' }), 'nf_tables: net/x.c: f()');
  assert.equal(placeText({ file: 'ext4.patch', line: 12 }), 'ext4.patch:12');
  assert.equal(placeText({ object: 'vmlinux', section: '.text', offset: 16 }), 'vmlinux: .text+0x10');
  assert.equal(placeText({ unit: 'a.c', symbol: 'f', offset: 0 }), 'a.c: f()+0x0');
});
