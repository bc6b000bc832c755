import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubtLivepatch, doubtNoDifference, type TextDifference } from './second-opinion.ts';

const equal: TextDifference = { changed: [], single: [], data: [] };
const livepatch = (patched: readonly string[], added: readonly string[] = []) => ({ patched, added });
const texts = (findings: readonly { readonly text: string }[]) => findings.map(({ text }) => text);

test('doubtNoDifference() doubts a difference in code and in data, not in what nothing reads', () => {
  assert.deepEqual(doubtNoDifference(equal), []);
  assert.deepEqual(doubtNoDifference({ ...equal, data: ['.comment', '.discard.addressable'] }), []);
  assert.deepEqual(
    doubtNoDifference({ changed: [], single: ['exported'], data: ['___ksymtab+exported', '__mcount_loc'] }),
    [],
  );
  assert.deepEqual(doubtNoDifference({ changed: [], single: ['warns'], data: ['__bug_table'] }), []);
  assert.equal(doubtNoDifference({ ...equal, data: ['__bug_table'] }).length, 1);
  assert.deepEqual(texts(doubtNoDifference({ changed: ['f'], single: ['g'], data: ['.data.d'] })), [
    "objdump shows a difference in function 'f', the differ none",
    "objdump shows a difference in section '.data.d', the differ none",
  ]);
});

test('doubtLivepatch() misses a changed function, in whichever part the change is', () => {
  for (const name of ['g', 'g.cold', 'g.isra.N', 'g.constprop.N.cold']) {
    assert.deepEqual(
      texts(doubtLivepatch(livepatch(['f']), { ...equal, changed: ['f', name] })),
      ["objdump shows a difference in function 'g', the livepatch lacks it"],
      name,
    );
  }
  assert.deepEqual(doubtLivepatch(livepatch(['f'], ['g']), { ...equal, changed: ['f', 'g'] }), []);
});

test('doubtLivepatch() takes it that nobody needs a function which only one side has', () => {
  assert.deepEqual(doubtLivepatch(livepatch(['f']), { ...equal, changed: ['f'], single: ['g'] }), []);
});

test('doubtLivepatch() asks why a function is patched that is the same, unless an entry of it may differ', () => {
  const patch = livepatch(['f', 'g']);
  assert.deepEqual(texts(doubtLivepatch(patch, { ...equal, changed: ['f'] })), [
    "the livepatch has function 'g', in which objdump shows no difference",
  ]);
  assert.deepEqual(doubtLivepatch(patch, { ...equal, changed: ['f'], data: ['__bug_table'] }), []);
});
