/**
 * The main job, whole: a stock Debian kernel crashes on a real bug; the same kernel, booted again and live-patched with
 * the fix that Debian itself shipped, survives it. Every step is a kstitch command that is printed before it runs.
 */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bundle } from '@kstitch/livepatch/bundle';
import type { Proof } from '@kstitch/livepatch/proof';
import { chooseCase, type DemoCase } from './choose-case.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'out');
const launcher = join(root, 'packages/cli/bin/kstitch');

const demo = await chooseCase(arguments_ => kstitch(arguments_, { shown: false }));
say(`kstitch demo: ${demo.title}`, ...demo.loud);
const began = performance.now();

await kstitch(['kernel', 'fetch', demo.release, '--yes']);

const patchPath = join(out, demo.patchName);
await mkdir(dirname(patchPath), { recursive: true });
await writeFile(patchPath, await makePatch(demo));

const build = [
  'build',
  shown(patchPath),
  '--kernel',
  demo.release,
  '--name',
  demo.name,
  '-o',
  shown(out),
  '--yes',
];
const { modulePath, bundle } = JSON.parse(await kstitch(build)) as { modulePath: string; bundle: Bundle };

await kstitch(['inspect', shown(modulePath)]);

const prove = ['prove', shown(modulePath), '--reproducer', demo.reproducer, ...demo.proveOptions, '--yes'];
const { proofPath, proof } = JSON.parse(await kstitch(prove)) as { proofPath: string; proof: Proof };

tell(bundle, proof);

/** The patch between the two Debian versions, or the one that the case brings. */
async function makePatch({ patch }: DemoCase): Promise<string> {
  if ('text' in patch) return patch.text;
  const result = JSON.parse(await kstitch(['delta', patch.from, patch.to, patch.file, '--yes'])) as {
    patch: string;
  };
  return result.patch;
}

/**
 * Runs one command with its progress on this terminal.
 *
 * @returns its JSON object
 */
async function kstitch(
  words: readonly string[],
  options: { readonly shown: boolean } = { shown: true },
): Promise<string> {
  if (options.shown) say('', `$ kstitch ${words.join(' ')}`);
  const child = spawn(launcher, [...words, '--json'], { cwd: root, stdio: ['inherit', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 130));
  });
  const text = Buffer.concat(chunks).toString();
  if (status !== 0) {
    // The command's own words, once more without --json, are what a reader can use.
    const { error } = JSON.parse(text) as { error?: { code: string; message: string; help?: string } };
    say(`error[${error?.code}]: ${error?.message}`, `  help: ${error?.help ?? ''}`);
    process.exit(status);
  }
  return text;
}

function tell(livepatch: Bundle, { bare, patched, kernel }: Proof): void {
  const functions = livepatch.objects.flatMap(object =>
    object.functions.map(f => `${object.name}: ${f.name}()`),
  );
  const [first, second] = patched.loads;
  const [oops] = bare.splats;
  const patchedRuns = patched.runs.filter(run => run.when === 'patched' || run.when === 'reloaded');
  say(
    '',
    'What happened',
    `  bare kernel      ${kernel.release}, as Debian ships it`,
    `                   ${oops === undefined ? 'the bug shows' : oops.headline}`,
    ...(oops?.function === undefined ? [] : [`                   in ${oops.function}()`]),
    `  livepatch        ${livepatch.module}`,
    ...functions.map(name => `                   ${name}`),
    `  patched kernel   boot id ${patched.bootId}, one boot throughout`,
    `    loaded         transition ${first?.transitionSeconds.toFixed(2)} s`,
    ...patchedRuns.slice(0, 1).map(run => `                   the same writes: the bug is ${run.bug}`),
    `    disabled       ${patched.disableSeconds.toFixed(2)} s, ${patched.reloaded ? 'removed' : 'kept loaded'}`,
    ...(second === undefined
      ? []
      : [`    loaded again   transition ${second.transitionSeconds.toFixed(2)} s`]),
    ...patchedRuns.slice(1).map(run => `                   the same writes: the bug is ${run.bug}`),
    '',
    `  module           ${shown(modulePath)}`,
    `  proof            ${shown(proofPath)}`,
    `  time             ${((performance.now() - began) / 1000).toFixed(0)} s`,
    '',
    'Next',
    `  npx kstitch inspect ${shown(modulePath)}`,
    `  npx kstitch build YOUR.patch --kernel ${kernel.release} --name my-fix -o out`,
    `  on a machine that runs ${kernel.release}, as root:`,
    `  npx kstitch load ${shown(modulePath)}`,
  );
}

function shown(path: string): string {
  return relative(process.cwd(), path);
}

function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
