import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './repository.ts';
import { formatTotals, gateTiers } from './run-tests.ts';
import { runTests } from './test.ts';

/**
 * The one gate: `npm run ok`, and with `--prepare` `npm test`. Everything is run and everything wrong is shown, so that one run is enough;
 * the last line counts the checks and the tests together.
 */
const bin = join(root, 'node_modules/.bin');

const checks = [
  { name: 'format', command: [join(bin, 'biome'), 'check', '--reporter=summary'], help: 'npm run format' },
  { name: 'lint', command: [join(bin, 'oxlint'), '--type-aware', '--deny-warnings'], help: '' },
  { name: 'types', command: [join(bin, 'tsc'), '-p', '.', '--pretty', 'false'], help: '' },
  { name: 'imports', command: [process.execPath, 'scripts/check-imports.ts'], help: '' },
  { name: 'lock file', command: [process.execPath, 'scripts/check-lock.ts'], help: '' },
  { name: 'documents', command: [process.execPath, 'scripts/docs.ts', '--check'], help: 'npm run docs' },
] as const;

const options = process.argv.slice(2);
if (options.includes('--prepare')) {
  const prepared = await runChild(
    [process.execPath, 'scripts/prepare.ts', ...options.filter(word => /^(?:-y|--yes)$/.test(word))],
    'show',
  );
  if (prepared.status !== 0) {
    console.log(formatTotals({ passed: 0, failed: 1, skipped: 0 }));
    process.exit(prepared.status);
  }
}

const totals = { passed: 0, failed: 0, skipped: 0 };
for (const { name, command, help } of checks) {
  const begin = performance.now();
  const { status, output } = await runChild(command, 'keep');
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (status === 0) {
    totals.passed += 1;
    console.log(`${name}: ok (${seconds} s)`);
  } else {
    totals.failed += 1;
    console.log(`FAILED: ${name} (${seconds} s)${help === '' ? '' : `; perhaps '${help}' mends it`}`);
    console.log(output.trimEnd().replaceAll(/^/gm, '  '));
  }
}

const tests = await runTests(gateTiers, undefined, undefined);
totals.passed += tests.passed;
totals.failed += tests.failed;
totals.skipped += tests.skipped;
console.log(formatTotals(totals));
process.exit(totals.failed > 0 || tests.passed === 0 ? 1 : 0);

/** @param output - `show`: the child has our streams; `keep`: its words are returned */
function runChild(
  command: readonly string[],
  output: 'show' | 'keep',
): Promise<{ status: number; output: string }> {
  const [program = '', ...words] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd: root,
      stdio: output === 'show' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', status => resolve({ status: status ?? 1, output: Buffer.concat(chunks).toString() }));
  });
}
