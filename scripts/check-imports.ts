import { isBuiltin } from 'node:module';
import { basename, dirname, join, normalize } from 'node:path';
import { findFiles, type Manifest, readManifest, readText } from './repository.ts';

/**
 * Checks what the folder names promise: a package imports only what stands below it and what its package.json declares, and the
 * packages that compute do no I/O.
 *
 * Packages on one layer do not know each other. A new package is added here before it is imported anywhere.
 */
const layers = [
  ['report'],
  ['elf', 'host'],
  ['arch', 'kernel', 'oracle'],
  ['diff'],
  ['livepatch'],
  ['review'],
  ['build', 'vm', 'manager'],
  ['cli'],
] as const;

/** Values in, values out. Whoever reads them knows that no file, process or connection is touched. */
const purePackages: readonly string[] = ['report', 'elf', 'arch', 'kernel', 'diff', 'livepatch', 'review'];

/** The oracle judges what the others made: it would agree with any mistake in code that it shared with them. */
const onlyOn: Readonly<Record<string, readonly string[]>> = { oracle: ['@kstitch/host', '@kstitch/report'] };

/** What node offers that computes only; `module` is for `createRequire`, by which CommonJS packages are loaded. */
const pureModules: readonly string[] = [
  'assert',
  'assert/strict',
  'buffer',
  'crypto',
  'module',
  'path',
  'path/posix',
  'util',
  'zlib',
];

/** What tests may use besides the declared dependencies of their package. */
const testOnly = ['@kstitch/testkit', 'fast-check'] as const;

interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
}

function layerOf(name: string): number {
  return layers.findIndex(layer => (layer as readonly string[]).includes(name));
}

/** Specifiers of static and dynamic imports and of re-exports; the house's formatter writes them in single quotes. */
export function findImports(file: string, source: string): Import[] {
  const pattern =
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  return [...source.matchAll(pattern)].map(match => ({
    file,
    line: source.slice(0, match.index + match[0].length).split('\n').length,
    specifier: match[1] ?? match[2] ?? match[3] ?? '',
  }));
}

/** Tests, and what only they use: `fixture-module.ts`, `test-machine.ts`. */
function isForTests(file: string): boolean {
  return file.endsWith('.test.ts') || /^(?:fixture|test)-/.test(basename(file));
}

/** @returns what is wrong with one import; undefined when nothing is */
export function judge({ file, specifier }: Import, manifest: Manifest): string | undefined {
  const [, owner = ''] = file.split('/');
  const test = isForTests(file);
  if (specifier.startsWith('.')) {
    const target = normalize(join(dirname(file), specifier));
    if (test && target === `packages/${owner}/package.json`) return undefined;
    return target.startsWith(`packages/${owner}/src/`)
      ? undefined
      : `a relative import leaves the package: '${specifier}'`;
  }
  if (isBuiltin(specifier)) {
    if (!specifier.startsWith('node:')) return `'${specifier}' without 'node:' before it`;
    if (test || !purePackages.includes(owner) || pureModules.includes(specifier.slice('node:'.length)))
      return undefined;
    return `'${owner}' does no I/O, and '${specifier}' is not one of the modules that only compute`;
  }
  const name = packageName(specifier);
  if (test && (testOnly as readonly string[]).includes(name)) return undefined;
  const declared = name in (manifest.dependencies ?? {});
  if (name === manifest.name) return test ? undefined : `the package imports itself by name: '${specifier}'`;
  if (!declared) return `'${name}' is not among the dependencies in packages/${owner}/package.json`;
  if (name === '@kstitch/testkit') return "'@kstitch/testkit' is for tests";
  return undefined;
}

/** @returns what is wrong with the dependencies that one package declares */
export function judgeManifest(owner: string, manifest: Manifest, used: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  if (owner !== 'testkit' && layerOf(owner) < 0)
    problems.push(`'${owner}' has no layer in scripts/check-imports.ts`);
  for (const [name, version] of Object.entries(manifest.dependencies ?? {})) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) problems.push(`'${name}' has no exact version: '${version}'`);
    if (!used.has(name)) problems.push(`'${name}' is declared and never imported`);
    if (owner === 'testkit' || !name.startsWith('@kstitch/')) continue;
    const below = name.slice('@kstitch/'.length);
    if (layerOf(below) >= layerOf(owner)) problems.push(`'${owner}' does not stand above '${below}'`);
    if (onlyOn[owner]?.includes(name) === false)
      problems.push(`'${owner}' must share no code with '${below}'`);
  }
  return problems;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** @returns one line for every problem in the repository */
export function checkImports(): string[] {
  const problems: string[] = [];
  for (const manifestPath of findFiles('packages/*/package.json')) {
    const owner = basename(dirname(manifestPath));
    const manifest = readManifest(manifestPath);
    const imports = findFiles(`packages/${owner}/src/**/*.ts`).flatMap(file =>
      findImports(file, readText(file)),
    );
    for (const one of imports) {
      const problem = judge(one, manifest);
      if (problem !== undefined) problems.push(`${one.file}:${one.line}: ${problem}`);
    }
    const used = new Set(imports.map(one => packageName(one.specifier)));
    problems.push(...judgeManifest(owner, manifest, used).map(problem => `${manifestPath}: ${problem}`));
  }
  return problems;
}

if (import.meta.main) {
  const problems = checkImports();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
