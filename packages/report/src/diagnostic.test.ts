import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Code, catalogueByArea, describeCode } from './catalogue.ts';
import { compareDiagnostics, type Diagnostic, diagnostic, Refusal, stopOnRefusals } from './diagnostic.ts';
import { exitStatusOf, KstitchError } from './error.ts';

const codes = Object.values(catalogueByArea).flatMap(area => Object.keys(area)) as Code[];

test('every kind of code has its exit status', () => {
  const statuses = {
    error: 1,
    refusal: 2,
    nothing: 3,
    retry: 4,
    'timed-out': 5,
    usage: 64,
    interrupted: 130,
    caution: 0,
    note: 0,
  };
  for (const code of codes) assert.equal(exitStatusOf(code), statuses[describeCode(code).kind], code);
});

test('no code stands in two areas', () => {
  assert.deepEqual(
    codes.filter((code, index) => codes.indexOf(code) !== index),
    [],
  );
});

test('KstitchError takes its help from the catalogue unless it has a better one', () => {
  assert.equal(new KstitchError('usage', 'x').help, describeCode('usage').help);
  assert.equal(new KstitchError('usage', 'x', { help: 'y' }).help, 'y');
});

function finding(severity: Diagnostic['severity'], symbol: string): Diagnostic {
  return { ...diagnostic('usage', { object: 'vmlinux', symbol }, `about ${symbol}`), severity };
}

test('a phase ends with all its findings, refusals first, and by the name of what they are about', () => {
  const findings = [
    finding('note', 'a'),
    finding('refusal', 'z'),
    finding('caution', 'm'),
    finding('refusal', 'b'),
  ];
  assert.throws(
    () => stopOnRefusals(findings),
    error =>
      error instanceof Refusal &&
      error.message === 'about z (and 1 more)' &&
      error.diagnostics.map(one => one.place.symbol).join() === 'b,z,m,a',
  );
});

test('cautions and notes stop nothing', () => {
  stopOnRefusals([finding('note', 'a'), finding('caution', 'b')]);
  assert.throws(() => new Refusal([finding('note', 'a')]), RangeError);
});

test('the order of findings does not depend on the order in which they were found', () => {
  const findings = ['c', 'a', 'b'].map(symbol => finding('refusal', symbol));
  const once = findings.toSorted(compareDiagnostics);
  assert.deepEqual(findings.toReversed().toSorted(compareDiagnostics), once);
});
