/** Of the page; nothing in it comes from elsewhere. */
export const style = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --dim: #5c636b; --line: #d8dce1; --box: #f6f7f9;
  --add: #e2f5e6; --del: #fde7e7; --good: #146c2e; --bad: #b3261e; --warn: #8a5300; --accent: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #16181b; --fg: #e3e5e8; --dim: #9aa1aa; --line: #353a40; --box: #1f2226;
    --add: #12351d; --del: #431c1c; --good: #6fd38b; --bad: #ff8a80; --warn: #f0b860; --accent: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
h4 { font-size: .85rem; margin: 1rem 0 .25rem; color: var(--dim); }
a { color: var(--accent); }
p { margin: .25rem 0; }
.note { color: var(--dim); font-size: .85rem; }
.verdict { font-weight: 600; font-size: 1.05rem; margin: .5rem 0 1rem; }
.buildable { color: var(--good); } .refused { color: var(--bad); } .no-difference { color: var(--warn); }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .75rem .2rem 0; overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--dim); white-space: nowrap; width: 1%; }
table.list th { border-bottom: 1px solid var(--line); width: auto; }
code, pre { font-family: ui-monospace, monospace; font-size: .85em; }
article { border: 1px solid var(--line); border-radius: 6px; padding: 1rem; margin: 1rem 0; }
.badge { display: inline-block; border: 1px solid var(--line); border-radius: 1em; padding: 0 .6em; font-size: .8rem; color: var(--dim); }
.scroll { overflow-x: auto; background: var(--box); border: 1px solid var(--line); border-radius: 4px; margin: .25rem 0; }
.scroll pre { margin: 0; display: inline-block; min-width: 100%; padding: .25rem 0; tab-size: 8; }
.scroll span { display: block; padding: 0 .5rem; white-space: pre; }
.add { background: var(--add); } .remove { background: var(--del); } .gap { color: var(--dim); }
.number { color: var(--dim); user-select: none; }
summary { cursor: pointer; color: var(--accent); margin: .5rem 0 0; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
.finding { border-left: 3px solid var(--line); padding-left: .75rem; margin: .75rem 0; }
.finding.refusal { border-color: var(--bad); } .finding.caution { border-color: var(--warn); }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  article { break-inside: auto; } h2, h3, h4 { break-after: avoid; }
  .scroll { overflow: visible; } .scroll span { white-space: pre-wrap; overflow-wrap: anywhere; }
}
`;
