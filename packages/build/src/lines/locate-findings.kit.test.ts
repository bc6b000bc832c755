import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { type Diagnostic, diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from '../build-livepatch.ts';
import { compileChanged } from '../compile/compile-changed.ts';
import { loadCompileDatabase } from '../compile/compile-database.ts';
import { findAffectedUnits } from '../patch/affected-units.ts';
import { applyPatches } from '../patch/apply-patch.ts';
import { locateFindings } from './locate-findings.ts';

const { kit } = await testKit();
const root = await mkdtemp(join(tmpdir(), 'kstitch-lines-test-'));
after(() => rm(root, { recursive: true, force: true }));

/** Line numbers, from 1, of the lines of a text that hold `what`. */
function linesWith(text: string, what: string): readonly number[] {
  return text.split('\n').flatMap((line, i) => (line.includes(what) ? [i + 1] : []));
}

/** What the build of a patch is refused with. */
async function refusalOf(patch: string): Promise<Refusal> {
  const error = await buildLivepatch(silentContext(), {
    patches: [{ name: 'a.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'test',
    outputDirectory: join(root, 'out'),
  }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Refusal, String(error));
  return error;
}

test('a refused build names the lines of the patched source, however deep the code was inlined', async () => {
  const path = 'net/netfilter/nf_tables_core.c';
  const from = '\tif (static_branch_unlikely(&nft_counters_enabled))\n';
  // Lines on both sides: what the compiler counts in the build is none of them (hold-lines.ts).
  const to =
    '\t/*\n\t * one\n\t */\n\tif (static_branch_unlikely(&nft_counters_enabled) && pkt)\n\t\tpkt = pkt;\n' +
    from;
  const patch = await editPatch(path, from, to);
  const source = (await readFile(join(kit.paths.tree, path), 'latin1')).replace(from, to);
  const error = await refusalOf(patch);
  const findings = error.diagnostics.filter(({ code }) => code === 'module-static-key');
  const lines = new Set(findings.map(({ place }) => place.line));
  assert.deepEqual(
    [...lines].toSorted((a, b) => (a ?? 0) - (b ?? 0)),
    ['nft_trace_enabled', 'nft_counters_enabled'].flatMap(key =>
      linesWith(source, `static_branch_unlikely(&${key})`),
    ),
  );
  assert.deepEqual([...new Set(findings.map(({ place }) => place.file))], [path]);
  // The key is tested in a function that the compiler inlined.
  const [first = 0] = linesWith(source, 'static_branch_unlikely(&nft_trace_enabled)');
  const callers = linesWith(source, 'nft_trace_packet(').map(
    line => `inlined into nft_do_chain() at ${path}:${line}`,
  );
  for (const finding of findings.filter(({ place }) => place.line === first)) {
    assert.match(finding.notes[0] ?? '', /^in arch_static_branch\(\), .*include\/asm\/jump_label\.h:\d+$/);
    assert.ok(callers.includes(finding.notes[1] ?? ''), finding.notes.join('; '));
  }
});

test("a warning of objtool about the linked module names the unit's line", async () => {
  const path = 'fs/proc/cmdline.c';
  const from = '\tseq_puts(m, saved_command_line);\n';
  const to = `\n\n${from}\tif (m)\n\t\tasm volatile("push %%rax" ::: "memory");\n`;
  const error = await refusalOf(await editPatch(path, from, to));
  assert.equal(error.code, 'objtool-warning');
  const source = (await readFile(join(kit.paths.tree, path), 'latin1')).replace(from, to);
  const [first = 0] = linesWith(source, 'static int cmdline_proc_show');
  const [last = 0] = linesWith(source, '\treturn 0;');
  for (const { place } of error.diagnostics) {
    assert.equal(place.file, path);
    assert.equal(place.symbol, 'cmdline_proc_show');
    assert.ok((place.line ?? 0) >= first && (place.line ?? 0) <= last + 1, `line ${place.line}`);
  }
});

test('what a finding is about decides which source its line is of', async () => {
  const path = 'drivers/net/dummy.c';
  const source = await readFile(join(kit.paths.tree, path), 'latin1');
  const head = 'static void dummy_dev_uninit(struct net_device *dev)\n';
  const patch = await editPatch(path, head, `\n\n#define dummy_dev_uninit dummy_gone\n${head}`);
  const context = silentContext();
  const applied = await applyPatches(context, kit, [
    { name: 'a.patch', bytes: Buffer.from(patch, 'latin1') },
  ]);
  const commands = await findAffectedUnits(context, kit, await loadCompileDatabase(kit), applied);
  const toolchain = { program: 'gcc-12', compiler: 'of this test', linker: '' };
  const work = join(root, 'work');
  await mkdir(work);
  const changed = await compileChanged(context, kit, toolchain, applied, commands, work);
  const at = (symbol: string, offset?: number) =>
    offset === undefined ? { unit: path, symbol } : { unit: path, symbol, offset };
  const findings: readonly Diagnostic[] = [
    diagnostic('run-pre-mismatch', at('dummy_change_carrier', 0), 'in the shipped unit'),
    diagnostic('no-ftrace-site', at('dummy_change_carrier', 0), 'in the patched one'),
    diagnostic('data-changed', at('dummy_netdev_ops'), 'of the patched one'),
    diagnostic('init-changed', at('dummy_dev_uninit'), 'in the unpatched one alone'),
    diagnostic('no-ftrace-site', at('dummy_nowhere', 0), 'in none'),
    diagnostic('patch-offset', at('dummy_netdev_ops'), 'a note'),
  ];
  const located = await locateFindings(context, { kit, patch: applied, changed }, findings);
  const [carrier = 0] = linesWith(source, 'static int dummy_change_carrier(');
  const [ops = 0] = linesWith(source, 'dummy_netdev_ops = {');
  const [gone = 0] = linesWith(source, 'static void dummy_dev_uninit(');
  assert.deepEqual(
    located.map(({ place }) => place.line),
    [carrier, carrier + 3, ops + 3, gone, undefined, undefined],
  );
  assert.deepEqual(
    located.map(({ notes }) => notes.length),
    [1, 0, 0, 1, 0, 0],
    'a line of the unpatched source says so',
  );
});
