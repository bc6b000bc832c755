/** A review as one HTML page: no script, nothing from elsewhere; what it shows may be hostile and is escaped. */
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { headOf, placeText } from '@kstitch/report/render-report';
import type { CodeDifference } from '../code-difference.ts';
import type { Review, ReviewedFunction } from '../review.ts';
import type { FunctionUse } from '../shipped-uses.ts';
import type { SourceHunk } from '../source-hunks.ts';
import { Html, html } from './escape.ts';
import { style } from './style.ts';
import {
  balanceNote,
  balanceText,
  callersNote,
  callersText,
  codeNote,
  kindText,
  memberText,
  reachedText,
  structsNote,
  typeText,
  useText,
  verdictText,
  whyLines,
} from './words.ts';

/** Names that are shown before the others are folded. */
const shownNames = 12;

const nothing = html``;

export function renderReviewPage(review: Review): string {
  const { kernel, functions, livepatch } = review;
  const title = `Review of ${review.patches.map(({ name }) => name).join(', ')} for ${kernel.release}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
${styleSheet}
</head>
<body>
<header>
<h1>${title}</h1>
<p class="verdict ${review.verdict.replace(' ', '-')}">${verdictText(review)}</p>
${summaryOf(review)}
</header>
${findingsOf(review.findings)}
${listOf('Why it must stay loaded', livepatch?.unload.reasons ?? [])}
${listOf('When a patched module is loaded again', livepatch?.reload ?? [])}
${listOf('Not looked into', review.gaps)}
${
  functions.length === 0
    ? nothing
    : html`<main>
<h2>Functions</h2>
<ul>${functions.map((one, i) => html`<li><a href="#f${i}"><code>${one.name}()</code></a> <span class="badge">${kindText(one)}</span></li>`)}</ul>
<p class="note">${callersNote} ${codeNote}</p>
${functions.map((one, i) => functionOf(one, i, review))}
</main>`
}
${balanceOf(review)}
${structsOf(review)}
${listOf('Types that change', review.types.map(typeText))}
${sourceOf(review)}
</body>
</html>
`;
  return page.text;
}

/** The one text that is not escaped: it is a constant of ours. */
const styleSheet = new Html(`<style>${style}</style>`);

function summaryOf({ kernel, patches, cves, units, livepatch }: Review): Html {
  const rows: (readonly [string, string])[] = [
    ['Kernel', `${kernel.release} (${kernel.packageVersion}), build id ${kernel.buildId}`],
    ...patches.map(({ name, sha256 }) => ['Patch', `${name}, sha256 ${sha256}`] as const),
    ...(cves.length === 0 ? [] : [['CVEs', cves.join(', ')] as const]),
    [
      'Units',
      units.affected === undefined
        ? 'none was compiled'
        : `${units.affected.length} compiled, ${units.changed.length} differ${units.changed.length === 0 ? '' : `: ${units.changed.join(', ')}`}`,
    ],
    ...(livepatch === undefined
      ? []
      : [
          ['Livepatch', `${livepatch.module}, ${livepatch.klpRelocations} klp relocations`] as const,
          ['Brings', livepatch.newSymbols.join(', ') || 'no new symbol'] as const,
        ]),
  ];
  return html`<table>${rows.map(([label, value]) => html`<tr><th>${label}</th><td>${value}</td></tr>`)}</table>`;
}

function findingsOf(findings: readonly Diagnostic[]): Html {
  if (findings.length === 0) return nothing;
  return html`<section><h2>Findings</h2>${findings.map(
    finding => html`<div class="finding ${finding.severity}">
<p><strong>${headOf(finding.code)}</strong> ${finding.text}</p>
${placeText(finding.place) === '' ? nothing : html`<p class="note">at <code>${placeText(finding.place)}</code></p>`}
${finding.notes.map(note => html`<p class="note">${note}</p>`)}
${finding.help === '' ? nothing : html`<p>${finding.help}</p>`}
</div>`,
  )}</section>`;
}

function listOf(title: string, items: readonly string[]): Html {
  if (items.length === 0) return nothing;
  return html`<section><h2>${title}</h2><ul>${items.map(item => html`<li>${item}</li>`)}</ul></section>`;
}

function functionOf(one: ReviewedFunction, index: number, review: Review): Html {
  const { uses, reached } = one;
  const size =
    one.sizeBefore === undefined ? `${one.sizeAfter} bytes` : `${one.sizeBefore} → ${one.sizeAfter} bytes`;
  return html`<article id="f${index}">
<h3>${one.name}()</h3>
<p class="note">${one.object}, ${one.unit}, ${kindText(one)}, ${size}</p>
<table>
<tr><th>Why</th><td>${whyLines(one).map(line => html`<div>${line}</div>`)}</td></tr>
<tr><th>Callers</th><td>${callersText(one)}${usesOf(uses?.callers, one.object)}</td></tr>
${uses === undefined || uses.holders.length === 0 ? nothing : html`<tr><th>Address taken</th><td>${usesOf(uses.holders, one.object)}</td></tr>`}
${reachedRow('Reaches', reached.gained.map(reachedText))}
${reachedRow('No longer', reached.lost.map(reachedText))}
${one.hazards.map(({ text }) => html`<tr><th>Mind</th><td>${text}</td></tr>`)}
</table>
${sourceOfFunction(one, review)}
${codeOf(one.code)}
</article>`;
}

function reachedRow(label: string, names: readonly string[]): Html {
  return names.length === 0
    ? nothing
    : html`<tr><th>${label}</th><td><code>${names.join(', ')}</code></td></tr>`;
}

function usesOf(uses: readonly FunctionUse[] | undefined, home: string): Html {
  if (uses === undefined || uses.length === 0) return nothing;
  const names = uses.map(use => useText(use, home));
  const first = html`<div><code>${names.slice(0, shownNames).join(', ')}</code></div>`;
  if (names.length <= shownNames) return first;
  return html`${first}<details><summary>${names.length - shownNames} more</summary><code>${names.slice(shownNames).join(', ')}</code></details>`;
}

/** The hunks with lines that are in the function, through whatever was inlined. */
function sourceOfFunction({ why }: ReviewedFunction, { files }: Review): Html {
  const lines = why.flatMap(one => ('lines' in one ? one.lines : []));
  const found = files.flatMap(({ path, hunks }) =>
    hunks
      .filter(hunk =>
        lines.some(
          ({ file, line, side }) =>
            file === path &&
            hunk.lines.some(
              other => other.line === line && other.kind === (side === 'before' ? 'remove' : 'add'),
            ),
        ),
      )
      .map(hunk => ({ path, hunk })),
  );
  if (found.length === 0) return nothing;
  return html`<h4>Source</h4>${found.map(({ path, hunk }) => hunkOf(path, hunk))}`;
}

const marks = { add: '+', remove: '-', context: ' ' } as const;

function hunkOf(path: string, { before, after, lines, functions }: SourceHunk): Html {
  const where = functions.length === 0 ? '' : ` ${functions[0]}()`;
  return html`<p class="note"><code>${path} @@ -${before} +${after} @@${where}</code></p>
<div class="scroll"><pre>${lines.map(
    line =>
      html`<span class="${line.kind}"><i class="number">${String(line.line).padStart(6)}</i> ${marks[line.kind]}${line.text}</span>`,
  )}</pre></div>`;
}

function codeOf({ summary, hunks, removed, added, cut }: CodeDifference): Html {
  if (hunks.length === 0) return summary === '' ? nothing : html`<h4>Code</h4><p>${summary}</p>`;
  return html`<h4>Code</h4><p>${summary}</p>
<details><summary>${removed} instructions out, ${added} in</summary>
${cut ? html`<p class="note">Too different or too long to be shown in full side by side.</p>` : nothing}
<div class="scroll"><pre>${hunks.map(
    (hunk, i) =>
      html`${i === 0 ? nothing : html`<span class="gap">…</span>`}${hunk.map(
        ({ kind, offset, text, cold }) =>
          html`<span class="${kind}">${marks[kind]} <i class="number">${`${cold ? 'cold' : ''}+0x${offset.toString(16)}`.padEnd(10)}</i> ${text}</span>`,
      )}`,
  )}</pre></div></details>`;
}

function balanceOf({ balance }: Review): Html {
  if (balance.length === 0) return nothing;
  return html`<section><h2>Locks, references, memory</h2><p class="note">${balanceNote}</p>
<ul>${balance.map(one => html`<li>${balanceText(one)}</li>`)}</ul></section>`;
}

function structsOf({ structs }: Review): Html {
  if (structs.length === 0) return nothing;
  return html`<section><h2>Members of structures in changed lines</h2><p class="note">${structsNote}</p>
<table>${structs.map(
    ({ type, members }) =>
      html`<tr><th><code>${type}</code></th><td><code>${members.map(memberText).join(', ')}</code></td></tr>`,
  )}</table></section>`;
}

function sourceOf({ files }: Review): Html {
  return html`<section><h2>The whole difference of the source</h2>
${files.map(({ path, hunks }) => html`<details><summary><code>${path}</code></summary>${hunks.map(hunk => hunkOf(path, hunk))}</details>`)}</section>`;
}
