import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { classifyFailure } from './classify.ts';

test('a refusal keeps all its findings, the first one names it', () => {
  const refusal = new Refusal([
    diagnostic('data-changed', { unit: 'fs/a.c', symbol: 'table' }, 'a table changes'),
    diagnostic('init-changed', { unit: 'fs/a.c', symbol: 'start()', offset: 16 }, 'init code changes'),
    diagnostic('patch-second-copy', { file: 'fs/a.c' }, 'a caution'),
  ]);
  const { outcome, code, findings } = classifyFailure(refusal);
  assert.deepEqual([outcome, code], ['refused', 'data-changed']);
  assert.deepEqual(
    findings.map(({ place }) => place),
    ['fs/a.c, start()+0x10', 'fs/a.c, table'],
  );
});

test('what does not compile, what makes no difference, what the kit lacks and what crashes are told apart', () => {
  const compile = new Refusal([diagnostic('compile-error', { file: 'fs/a.c', line: 7 }, "'x' undeclared")]);
  assert.equal(classifyFailure(compile).outcome, 'does not compile alone');
  assert.equal(
    classifyFailure(new KstitchError('no-functional-difference', 'no difference')).outcome,
    'no difference',
  );
  assert.equal(classifyFailure(new KstitchError('modpost-failed', 'link')).outcome, 'error');
  assert.equal(classifyFailure(new KstitchError('patch-does-not-apply', 'apply')).outcome, 'refused');
  const crash = classifyFailure(new RangeError('out of range'));
  assert.deepEqual([crash.outcome, crash.code], ['error', 'crash']);
  assert.match(crash.findings[0]?.text ?? '', /^RangeError: out of range/);
});
