/** A patch to a header that well over a hundred units include: the compiler on all cores should be what it waits for. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figure } from './figures.ts';
import { runTimed } from './run-timed.ts';

const launcher = fileURLToPath(new URL('../packages/cli/bin/kstitch', import.meta.url));

const patch = `--- a/include/linux/buffer_head.h
+++ b/include/linux/buffer_head.h
@@ -322,6 +322,6 @@
 
 static inline void brelse(struct buffer_head *bh)
 {
-	if (bh)
+	if (!IS_ERR_OR_NULL(bh))
 		__brelse(bh);
 }
`;

interface Built {
  readonly timing: {
    readonly totalSeconds: number;
    readonly processorSeconds: number;
    readonly peakMemoryMiB: number;
    readonly steps: readonly { readonly label: string }[];
  };
}

/**
 * Once: it takes minutes. What an earlier run compiled of the unpatched source is in the cache and not compiled again.
 *
 * @param work - a folder for patch and livepatch
 */
export async function measureHeader(release: string, work: string): Promise<readonly Figure[]> {
  const path = join(work, 'header.patch');
  await writeFile(path, patch);
  const words = ['build', path, '--kernel', release, '--name', 'header', '-o', join(work, 'out')];
  const { status, stdout, wall, processor } = await runTimed([
    launcher,
    ...words,
    '--timing',
    '--json',
    '--quiet',
  ]);
  // A refusal comes after everything that is measured here.
  if (status !== 0 && status !== 2)
    throw new Error(`kstitch ${words.join(' ')} ended with ${status}: ${stdout}`);
  const { timing } = JSON.parse(stdout) as Built;
  const compiled = timing.steps.filter(({ label }) => /^compile .*\(patched\)$/.test(label)).length;
  if (compiled < 100) throw new Error(`the header patch reached ${compiled} units: ${stdout.slice(0, 1000)}`);
  const row = (what: string, unit: Figure['unit'], value: number, wanted?: string): Figure => ({
    what,
    unit,
    wanted,
    samples: [value],
  });
  return [
    row(`build a header patch that reaches ${compiled} units`, 's', wall),
    row('… processor time of compilers and other tools', 's', processor - timing.processorSeconds),
    row('… processor time of kstitch itself', 's', timing.processorSeconds),
    row(
      `… both, as a share of ${availableParallelism()} cores for that time`,
      '%',
      (100 * processor) / wall / availableParallelism(),
    ),
    row('… peak memory of node', 'MiB', timing.peakMemoryMiB),
  ];
}
