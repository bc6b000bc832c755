import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelCase } from './cases.ts';
import type { KernelResult, PlacementFailure } from './kernel-result.ts';
import { isComplete, type MatrixRun, writeKernelsPage } from './kernels-page.ts';

const kernel: KernelCase = {
  release: '6.12.1+deb13-cloud-amd64',
  debian: '13',
  fix: {
    name: 'a-fix',
    from: '6.12.1-1',
    to: '6.12.2-1',
    file: 'fs/a.c',
    title: 'fs: mend a|b',
    shows: 'it hangs',
    reproducer: 'a.c',
    proveOptions: [],
  },
};
const old: KernelCase = { ...kernel, release: '6.1.0-1-cloud-amd64', debian: '12' };
const realTime: KernelCase = { ...old, release: '6.1.0-1-rt-amd64' };

const failure: PlacementFailure = {
  unit: 'init/version.c',
  object: 'vmlinux',
  codes: ['run-pre-mismatch'],
  text: 'the strings differ',
};

function result(failures: readonly PlacementFailure[], warm: number): KernelResult {
  return {
    kit: { seconds: 81.4, processorSeconds: 120, downloadSeconds: 3, rootSeconds: 20 },
    image: {
      symbols: 100,
      padded: 50,
      sealed: 10,
      constants: ['runtime_ptr_USER_PTR_MAX 5'],
      altInstruction: 14,
      paravirt: false,
      moduleSize: 1280,
      modules: 7,
      moduleFiles: '.ko.xz',
    },
    placement: {
      seed: 1,
      units: 200,
      builtIn: 80,
      placed: 200 - failures.length,
      functions: 4000,
      relocations: 50_000,
      failures,
    },
    fix: {
      module: 'kstitch_a_fix_00000000',
      functions: ['vmlinux: a'],
      unload: 'safe',
      compiler: 'x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0',
      packageVersion: '6.12.1-1',
      bare: 'crash',
      crash: 'a',
      runs: ['patched absent', 'reloaded absent'],
      reloaded: true,
      accelerator: 'tcg',
      proveSeconds: 34.9,
    },
    warm: { seconds: [30, 20, 10], processorSeconds: [9, warm, 1] },
  };
}

function page(rows: MatrixRun['rows'], causes: MatrixRun['causes'] = {}, kept = false): string[] {
  const run = { command: 'npm run matrix', date: '2026-11-24', machine: '2 cores', kept, rows, causes };
  return writeKernelsPage(run).split('\n');
}

test('a kernel has a row with what was placed and proven, and its times', () => {
  const lines = page([
    [old, result([], 2)],
    [kernel, result([failure], 2.5)],
  ]);
  const of = (release: string) => lines.filter(line => line.startsWith(`| \`${release}\` |`));
  assert.deepEqual(of(kernel.release), [
    '| `6.12.1+deb13-cloud-amd64` | 6.12.1-1 | x86_64-linux-gnu-gcc-14 14.2.0-19 | 199 of 200 (99.5 %) | fs/a.c, 6.12.2-1 | yes, unloaded and loaded again |',
    '| `6.12.1+deb13-cloud-amd64` | 200 | 80 | 120 | 199 of 200 (99.5 %) | 4000 | 50000 |',
    '| `6.12.1+deb13-cloud-amd64` | `init/version.c` | `run-pre-mismatch` | not looked into yet: the strings differ |',
    '| `6.12.1+deb13-cloud-amd64` | `kstitch_a_fix_00000000` | `vmlinux: a()` | safe | crashes in `a()` | patched absent, reloaded absent | 35 s, tcg |',
    '| `6.12.1+deb13-cloud-amd64` | 100 | 50 | 10 | runtime_ptr_USER_PTR_MAX 5 | 14 bytes | no | 1280 bytes | 7 .ko.xz |',
    '| `6.12.1+deb13-cloud-amd64` | 81 s | 120 s | 20 s | 20.0 s | 2.5 s | 1.25 |',
  ]);
  assert.equal(
    of(old.release).at(-1),
    '| `6.1.0-1-cloud-amd64` | 81 s | 120 s | 20 s | 20.0 s | 2.0 s | 1.00 |',
  );
  // Two kernels, one fix; what stands in a cell does not end it.
  assert.deepEqual(
    lines.filter(line => line.startsWith('| `fs/a.c` |')),
    [String.raw`| ${'`fs/a.c`'} | 6.12.1-1 → 6.12.2-1 | fs: mend a\|b | it hangs |`],
  );
});

test('a unit that is not placed is explained by its path, or by its folder', () => {
  const cause = (causes: MatrixRun['causes']) =>
    page([[kernel, result([failure], 2)]], causes).find(line => line.includes('run-pre-mismatch'));
  assert.match(cause({ 'init/version.c': 'by path', 'init/': 'by folder' }) ?? '', /\| by path \|$/);
  assert.match(cause({ 'init/': 'by folder' }) ?? '', /\| by folder \|$/);
  assert.match(cause({ 'init/version': 'no folder' }) ?? '', /not looked into yet/);
});

test('a kernel without a kit has the reason and its configuration', () => {
  const refused = { code: 'kit-download-failed', message: '', config: ['CONFIG_LIVEPATCH=y'] };
  const other = { ...realTime, release: '6.1.0-2-rt-amd64' };
  const lines = page([
    [realTime, { refused: { ...refused, message: `not '${realTime.release}'` } }],
    [other, { refused: { ...refused, message: `not '${other.release}'` } }],
  ]);
  assert.ok(lines.includes('| `6.1.0-1-rt-amd64` | 12 | – | – | – | no kit: `kit-download-failed` |'));
  assert.ok(lines.includes('Of `6.1.0-1-rt-amd64`, `6.1.0-2-rt-amd64`'));
  assert.deepEqual(
    lines.filter(line => line.startsWith('CONFIG_')),
    refused.config,
  );
});

test('a kernel is complete when every part was done and every failure has its cause', () => {
  const whole = result([failure], 2);
  const causes = { 'init/version.c': 'known' };
  assert.equal(isComplete(whole, causes), true);
  assert.equal(isComplete(whole, {}), false);
  assert.equal(isComplete({ ...whole, fix: undefined }, causes), false);
  assert.equal(isComplete({ ...whole, kit: undefined }, causes), false);
  const refused = { code: 'kit-package-gone', message: '', config: [] };
  assert.equal(isComplete({ refused }, {}), false);
});

test('a page of earlier results says that it is one', () => {
  const says = (kept: boolean) =>
    page([], {}, kept).some(line => line.startsWith('- Put together of what earlier'));
  assert.deepEqual([says(true), says(false)], [true, false]);
});
