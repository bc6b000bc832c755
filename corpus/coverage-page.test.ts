import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Coverage, putPart, writeCoverage } from './coverage-page.ts';

const run = (release: string, date: string): Coverage => ({
  from: '6.1.190-1',
  to: '6.1.192-1',
  release,
  command: `npm run corpus -- --kernel ${release}`,
  date,
  differing: 3,
  notCompiled: 3,
  results: [],
  checked: new Map(),
  loads: new Map(),
});

test('each run has its part of the page; the same command writes its part anew', () => {
  const first = putPart(undefined, writeCoverage(run('6.1.0-54-cloud-amd64', '2026-11-24')));
  const both = putPart(first, writeCoverage(run('6.12.115+deb12-cloud-amd64', '2026-11-24')));
  assert.ok(both.startsWith(first.trimEnd()));
  assert.deepEqual(both.match(/^## .*$/gm), [
    '## 6.1.190-1 to 6.1.192-1, 6.1.0-54-cloud-amd64',
    '## 6.1.190-1 to 6.1.192-1, 6.12.115+deb12-cloud-amd64',
  ]);
  const later = putPart(both, writeCoverage(run('6.1.0-54-cloud-amd64', '2026-11-25')));
  assert.equal(later, both.replace('- Date: 2026-11-24', '- Date: 2026-11-25'));
});
