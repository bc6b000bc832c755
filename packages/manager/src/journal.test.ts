import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { recordSyncs } from '@kstitch/testkit/record-syncs';
import * as fc from 'fast-check';
import { temporary } from './fixture-machine.ts';
import { beginAction, findUnfinished, Journal } from './journal.ts';

const kernel = { release: '6.1.0-1-amd64', bootId: 'boot-1' };

test('an action has a line when it begins and one when it has ended, for root alone', t => {
  const journal = new Journal(join(temporary(t), 'state'));
  assert.deepEqual(journal.read(), { entries: [], damagedLines: 0 });
  const action = beginAction(journal, kernel, 'load', 'kstitch_a', []);
  action.step('inserted');
  action.end('attested', ['x']);
  const { entries, damagedLines } = journal.read();
  assert.equal(damagedLines, 0);
  assert.deepEqual(
    entries.map(({ action: what, livepatch, phase, result, notes }) => [
      what,
      livepatch,
      phase,
      result,
      notes,
    ]),
    [
      ['load', 'kstitch_a', 'begin', undefined, undefined],
      ['load', 'kstitch_a', 'step', 'inserted', undefined],
      ['load', 'kstitch_a', 'end', 'attested', ['x']],
    ],
  );
  assert.equal(new Set(entries.map(({ id }) => id)).size, 1);
  assert.equal(statSync(journal.path).mode & 0o077, 0);
  assert.equal(readFileSync(journal.path, 'utf8').split('\n').length, 4);
});

test('a line is on the disk when it is written, with the file and the folders that were made for it', async t => {
  const folder = temporary(t);
  const journal = new Journal(join(folder, 'a/state'));
  const synced: string[] = [];
  await recordSyncs(t, path => synced.push(relative(folder, path)));
  const action = beginAction(journal, kernel, 'load', 'kstitch_a', []);
  assert.deepEqual(synced.splice(0), ['a', '', 'a/state/journal', 'a/state']);
  action.end('attested');
  assert.equal(synced[0], 'a/state/journal');
});

test('an action that did not end is found, of this boot only', t => {
  const journal = new Journal(temporary(t));
  beginAction(journal, { ...kernel, bootId: 'boot-0' }, 'load', 'earlier', []);
  beginAction(journal, kernel, 'load', 'ended', []).end('attested');
  beginAction(journal, kernel, 'unload', 'killed', []).step('disabled');
  const unfinished = findUnfinished(journal.read().entries, kernel.bootId);
  assert.deepEqual(
    unfinished.map(({ livepatch }) => livepatch),
    ['killed'],
  );
});

test('a line that was cut off when the power went costs no other', t => {
  const journal = new Journal(temporary(t));
  beginAction(journal, kernel, 'load', 'a', []).end('attested');
  truncateSync(journal.path, statSync(journal.path).size - 5);
  beginAction(journal, kernel, 'load', 'b', []).end('attested');
  const { entries, damagedLines } = journal.read();
  assert.equal(damagedLines, 1);
  assert.deepEqual(
    entries.map(({ livepatch, phase }) => `${livepatch} ${phase}`),
    ['a begin', 'b begin', 'b end'],
  );
});

test('whatever stands in the file, reading it ends with entries that have their fields', t => {
  const journal = new Journal(temporary(t));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), text => {
      writeFileSync(journal.path, text);
      beginAction(journal, kernel, 'load', 'a', []);
      appendFileSync(journal.path, text);
      const { entries } = journal.read();
      return (
        entries.some(({ livepatch }) => livepatch === 'a') &&
        entries.every(({ at }) => typeof at === 'string')
      );
    }),
    { numRuns: 50 },
  );
});

test('what cannot be written any more is a caution, and nothing begins that cannot be written', t => {
  const journal = new Journal(temporary(t));
  const diagnostics: Diagnostic[] = [];
  const action = beginAction(journal, kernel, 'load', 'a', diagnostics);
  rmSync(journal.path);
  mkdirSync(journal.path);
  action.end('attested');
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['journal-incomplete'],
  );
  assert.throws(() => beginAction(journal, kernel, 'load', 'a', diagnostics), { code: 'host-file-failed' });
});

test('what takes a livepatch back begins even where nothing can be written, and says so once', t => {
  const journal = new Journal(temporary(t));
  mkdirSync(journal.path);
  const diagnostics: Diagnostic[] = [];
  const action = beginAction(journal, kernel, 'unload', 'a', diagnostics);
  action.step('disabled');
  action.end('removed');
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['journal-incomplete'],
  );
});
