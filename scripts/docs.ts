import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requiredPackages } from '@kstitch/host/debian-packages';
import { type Code, catalogueByArea } from '@kstitch/report/catalogue';
import type { CatalogueEntry } from '@kstitch/report/catalogue/entry';
import { exitStatusOf } from '@kstitch/report/error';
import { headOf } from '@kstitch/report/render-report';
import { checkCommands } from './check-commands.ts';
import { findFiles, readManifest, readText, root } from './repository.ts';

/**
 * `npm run docs` writes docs/diagnostics.md from the catalogue; `--check` compares instead, and looks whether the other documents
 * still say what the code does.
 */
const DIAGNOSTICS = 'docs/diagnostics.md';
const DEPENDENCIES = 'docs/dependencies.md';

type AreaEntry = readonly [code: string, entry: CatalogueEntry];

function areas(): readonly (readonly [area: string, entries: readonly AreaEntry[]])[] {
  return Object.entries(catalogueByArea).map(([area, codes]) => [area, Object.entries(codes) as AreaEntry[]]);
}

const kindWords = {
  error: 'error',
  usage: 'wrong usage',
  retry: 'not possible now',
  'timed-out': 'timed out and reversed',
  refusal: 'refusal',
  interrupted: 'interrupted',
  nothing: 'nothing to do',
  caution: 'caution',
  note: 'note',
} as const satisfies Record<CatalogueEntry['kind'], string>;

function writeDiagnostics(): string {
  const sections = areas()
    .filter(([, entries]) => entries.length > 0)
    .map(([area, entries]) => {
      const texts = entries
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([code, entry]) => writeEntry(code, entry));
      return `## ${area}\n\n${texts.join('\n')}`;
    });
  return `<!-- Written by \`npm run docs\` from packages/report/src/catalogue; edit there. -->

# Diagnostics

Everything kstitch can complain about, by the code in brackets behind \`error\`, \`refused\`, \`caution\` or \`note\`. With \`--json\`
the code stands in \`error.code\` and \`diagnostics[].code\`; codes keep their meaning once released.

An *error* stops the run where it happens. A *refusal* is a finding about the patch or the kernel that makes a livepatch
impossible or unsafe: all refusals of a phase are shown together. *Cautions* and *notes* never stop a run.

${sections.join('\n')}`;
}

function writeEntry(code: string, entry: CatalogueEntry): string {
  const status =
    entry.kind === 'caution' || entry.kind === 'note' ? '' : `, exit status ${exitStatusOf(code as Code)}`;
  return `### \`${code}\`

*${kindWords[entry.kind]}${status}.* ${entry.meaning}

\`\`\`
${headOf(code as Code)} ${entry.example}
\`\`\`

What to do: ${entry.help.replace(/\.$/, '')}.
`;
}

/** Every code is written by some source file and provoked by some test. */
function checkCodes(): string[] {
  const files = findFiles('packages/*/src/**/*.ts').filter(path => !path.includes('/report/src/catalogue/'));
  const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.startsWith('packages/testkit/');
  const sources = files.filter(path => !isTest(path)).map(readText);
  const tests = [...files.filter(isTest), ...findFiles('packages/*/src/cases/*/expect.json')].map(readText);
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [area, entries] of areas()) {
    for (const [code, entry] of entries) {
      const where = `catalogue, ${area}: '${code}'`;
      if (seen.has(code)) problems.push(`${where} stands in two areas`);
      seen.add(code);
      if (!sources.some(text => text.includes(`'${code}'`))) problems.push(`${where} is printed by nothing`);
      const word = new RegExp(`(?<![\\w-])${code}(?![\\w-])`);
      if (!tests.some(text => word.test(text))) problems.push(`${where} is provoked by no test`);
      if (/^[a-z ]+\[/.test(entry.example)) problems.push(`${where}: the example repeats the code`);
      if (!entry.meaning.endsWith('.')) problems.push(`${where}: the meaning ends without a full stop`);
    }
  }
  return problems;
}

/** Every package that npm or apt installs for us stands in docs/dependencies.md, npm's with their versions. */
function checkDependencies(): string[] {
  const text = readText(DEPENDENCIES);
  const debian = requiredPackages
    .filter(({ name }) => !text.includes(`| ${name} | `))
    .map(({ name }) => `${DEPENDENCIES}: no line '| ${name} | …' for the Debian package`);
  const npm = findFiles(['package.json', 'packages/*/package.json']).flatMap(path => {
    const { dependencies, devDependencies, optionalDependencies } = readManifest(path);
    return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
      .filter(
        ([name, version]) => !name.startsWith('@kstitch/') && !text.includes(`| ${name} | ${version} |`),
      )
      .map(
        ([name, version]) =>
          `${DEPENDENCIES}: no line '| ${name} | ${version} |' for the dependency of ${path}`,
      );
  });
  return [...npm, ...debian];
}

async function check(): Promise<string[]> {
  const current = findFiles(DIAGNOSTICS).map(readText)[0];
  return [
    ...(current === writeDiagnostics()
      ? []
      : [`${DIAGNOSTICS} is not what the catalogue says; run 'npm run docs'`]),
    ...checkCodes(),
    ...checkDependencies(),
    ...(await checkCommands(findFiles(['README.md', 'docs/*.md']))),
  ];
}

if (process.argv.includes('--check')) {
  const problems = await check();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else {
  mkdirSync(join(root, 'docs'), { recursive: true });
  writeFileSync(join(root, DIAGNOSTICS), writeDiagnostics());
}
