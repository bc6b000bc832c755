import { parseArgs } from 'node:util';
import { lookOf, progressModeOf } from '@kstitch/cli/terminal';
import { TerminalProgress } from '@kstitch/cli/terminal-progress';
import { findTests, formatTotals, runTier, type Tier, type Totals, tiers } from './run-tests.ts';

/**
 * Runs tests: all of them, some tiers (`unit`, `kit`, `vm`, `long`), or those whose paths hold one of the words given;
 * a word that begins with a slash is a test file anywhere.
 *
 *   node scripts/test.ts unit
 *   node scripts/test.ts vm --filter 'reloads'
 *   node scripts/test.ts elf/src/read --seconds 10
 *
 * @param filter - only tests whose names match
 * @param seconds - a file that takes longer is killed and has failed; undefined: the limit of its tier
 */
export async function runTests(
  words: readonly string[],
  filter: string | undefined,
  seconds: number | undefined,
): Promise<Totals> {
  const named = words.filter((word): word is Tier => word in tiers);
  const paths = words.filter(word => !(word in tiers));
  const sum: Totals = { passed: 0, failed: 0, skipped: 0 };
  const progress = new TerminalProgress({
    mode: progressModeOf(process.stdout, process.env),
    write: text => void process.stdout.write(text),
    look: () => lookOf(process.stdout, process.env),
  });
  for (const tier of Object.keys(tiers) as Tier[]) {
    if (named.length > 0 && !named.includes(tier)) continue;
    const files = findTests(tier, paths);
    if (files.length === 0) continue;
    const totals = await runTier(tier, files, filter, seconds, progress, line => progress.note(line));
    sum.passed += totals.passed;
    sum.failed += totals.failed;
    sum.skipped += totals.skipped;
  }
  progress.close();
  return sum;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { filter: { type: 'string' }, seconds: { type: 'string' } },
  });
  const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
  if (seconds !== undefined && !(seconds > 0)) {
    console.error(`--seconds takes a number, not '${values.seconds}'`);
    process.exit(64);
  }
  const totals = await runTests(positionals, values.filter, seconds);
  console.log(formatTotals(totals));
  // Nothing run is nothing tested: a mistyped word must not look like success.
  process.exit(totals.failed > 0 || totals.passed + totals.skipped === 0 ? 1 : 0);
}
