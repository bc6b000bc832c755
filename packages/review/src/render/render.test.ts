import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnostic } from '@kstitch/report/diagnostic';
import { displayWidth } from '@kstitch/report/render-text';
import type { Review, ReviewedFunction } from '../review.ts';
import { html } from './escape.ts';
import { renderReviewPage } from './page.ts';
import { renderReviewText } from './text.ts';

const evil = `<script>alert(1)</script>"'&\u001b[31m\u202e`;

const reviewed = (text: string): ReviewedFunction => ({
  name: text,
  sourceName: text,
  object: text,
  unit: text,
  kind: 'changed',
  redirected: true,
  clone: text,
  coldOnly: true,
  sizeBefore: 10,
  sizeAfter: 12,
  why: [
    { kind: 'source', lines: [{ file: text, line: 3, side: 'after' }] },
    {
      kind: 'inlined',
      function: text,
      chain: [text, text],
      lines: [{ file: text, line: 3, side: 'before' }],
    },
    { kind: 'macro', name: text, lines: [], used: [{ file: text, line: 1, side: 'after' }] },
    { kind: 'data', name: text },
    { kind: 'callee', before: text, after: text },
    { kind: 'carries', functions: [text] },
  ],
  facts: [text],
  reached: { gained: [{ name: text, where: 'new' }], lost: [{ name: text, where: 'unit' }] },
  code: {
    summary: text,
    hunks: [[{ kind: 'add', offset: 4, text, cold: true }]],
    removed: 1,
    added: 2,
    cut: true,
  },
  uses: {
    callers: Array.from({ length: 30 }, (_, i) => ({
      object: text,
      name: `${text}${i}`,
      kind: 'call',
      sites: 2,
    })),
    holders: [{ object: text, name: text, kind: 'data', sites: 1 }],
    exported: true,
  },
  hazards: [{ kind: 'known', text }],
});

const review = (text: string): Review => ({
  kernel: { release: text, packageVersion: text, buildId: text },
  patches: [{ name: text, sha256: text }],
  cves: [text],
  verdict: 'buildable',
  files: [
    {
      path: text,
      hunks: [{ before: 1, after: 1, lines: [{ kind: 'add', line: 3, text }], functions: [text] }],
    },
  ],
  units: { affected: [text], changed: [text] },
  functions: [reviewed(text)],
  balance: [
    { file: text, function: text, name: text, role: 'takes', family: text, before: 0, after: 1, hint: text },
  ],
  structs: [{ type: text, members: [{ name: text, write: true, lines: [], sides: ['after'] }] }],
  types: [{ name: text, text, notes: [text], units: [text], verdict: 'refused' }],
  findings: [diagnostic('no-ftrace-site', { unit: text, symbol: text }, text, { notes: [text], help: text })],
  livepatch: {
    module: text,
    unload: { verdict: 'unsafe', reasons: [text] },
    reload: [text],
    cautions: [text],
    klpRelocations: 1,
    newSymbols: [text],
  },
  gaps: [text],
});

test('no name and no text of a patch gets into the page as markup', () => {
  const page = renderReviewPage(review(evil));
  assert.doesNotMatch(page, /<script|\u001b|\u202e/);
  assert.equal(
    page.match(/&lt;script&gt;/g)?.length,
    renderReviewPage(review('marker')).match(/marker/g)?.length,
  );
  // The attributes are ours alone: a page of harmless text has the same tags.
  const tags = (text: string) => text.match(/<[^>]*>/g);
  assert.deepEqual(tags(page), tags(renderReviewPage(review('harmless'))));
});

test('the page holds all it needs: no script, no address of another place, both colour schemes, print', () => {
  const page = renderReviewPage(review('x'));
  assert.doesNotMatch(page, /https?:|<script|<link|<img|<iframe|\bsrc=|url\(|@import|\bon\w+=/i);
  assert.match(page, /default-src 'none'/);
  assert.match(page, /prefers-color-scheme: dark/);
  assert.match(page, /@media print/);
  for (const [, target] of page.matchAll(/href="([^"]*)"/g)) assert.match(target ?? '', /^#f\d+$/);
});

test('html`` escapes values, and takes HTML as it is', () => {
  assert.equal(
    html`<b title="${'"<&>\''}">${html`<i>${'<'}</i>`}</b>`.text,
    '<b title="&quot;&lt;&amp;&gt;&#39;"><i>&lt;</i></b>',
  );
  assert.equal(html`${'a\u0000\u200b\u202eb\tc\nd'}`.text, 'a\\u0000\\u200b\\u202eb\tc\nd');
});

test('the text fits 80 columns and brings no terminal sequence', () => {
  const look = { columns: 80, colour: false, unicode: true };
  const lines = renderReviewText(
    review('some words of text that are long enough to be wrapped somewhere '),
    look,
  ).split('\n');
  for (const line of lines) assert.ok(displayWidth(line) <= 80, line);
  assert.doesNotMatch(renderReviewText(review(evil), look), /\u001b|\u202e/);
});

test('a function that nothing explains is said to be unexplained', () => {
  const one = { ...reviewed('f'), why: [], facts: ['it refers to g(), which changes'] };
  const look = { columns: 80, colour: false, unicode: true };
  const text = renderReviewText({ ...review('f'), functions: [one] }, look);
  assert.match(
    text,
    /why: +unexplained: no changed line of the source was found in it\n +it refers to g\(\), which changes/,
  );
  assert.match(renderReviewPage({ ...review('f'), functions: [one] }), /unexplained: no changed line/);
});
