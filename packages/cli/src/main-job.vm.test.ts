/**
 * The main job as its user does it: through the launcher, in a folder of one's own, on a stock kernel with a real bug. What
 * the demo shows, held to what it promises.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { parseBundle } from '@kstitch/livepatch/bundle';
import { parseProof } from '@kstitch/livepatch/proof';
import { pathOfPurposes } from '@kstitch/testkit/path-of-purposes';

const launcher = join(import.meta.dirname, '../bin/kstitch');
const repository = new URL('../../../', import.meta.url);

/** What demo/choose-case.ts chooses. */
interface Case {
  readonly release: string;
  readonly name: string;
  readonly patchName: string;
  readonly patch:
    | { readonly from: string; readonly to: string; readonly file: string }
    | { readonly text: string };
  readonly reproducer: string;
  readonly proveOptions: readonly string[];
}

/** By the case's name: what must come out. The second is for the day on which the archive drops the first one's kernel. */
const expected: Readonly<Record<string, { readonly functions: readonly string[]; readonly oops?: string }>> =
  {
    'ext4-mballoc': {
      functions: ['ext4_mb_init_group', 'ext4_mb_load_buddy_gfp'],
      oops: 'ext4_mb_load_buddy_gfp',
    },
    meminfo: { functions: ['meminfo_proc_show'] },
  };

const work = mkdtempSync(join(tmpdir(), 'kstitch-main-job-'));
after(() => rmSync(work, { recursive: true, force: true }));

let job: Case;
/** Of the livepatch, below {@link work}, without its ending. */
let livepatch = '';

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** By a command's first word: a PATH with no more than the packages that kstitch installs for it. */
const paths = new Map<string, string>();

/** @param output - name of a file for standard output, which the result then lacks */
async function kstitch(words: readonly string[], output?: string): Promise<Ended> {
  const PATH = paths.get(words[0] ?? '');
  const child = spawn(launcher, words, {
    cwd: work,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr += text));
  if (output === undefined)
    child.stdout.setEncoding('utf8').on('data', (text: string) => void (stdout += text));
  else child.stdout.pipe(createWriteStream(join(work, output)));
  const [status] = await once(child, 'close');
  return { status, stdout, stderr };
}

/** Runs a command that must succeed. @returns its JSON */
async function done(...words: readonly string[]): Promise<unknown> {
  const { status, stdout, stderr } = await kstitch([...words, '--json']);
  assert.equal(status, 0, stdout + stderr);
  return JSON.parse(stdout);
}

/** Runs a command that must fail. @returns the code of its error, and the exit status, which its JSON names, too */
async function refused(...words: readonly string[]): Promise<readonly [code: string, status: number]> {
  const { status, stdout } = await kstitch([...words, '--json']);
  const { error } = JSON.parse(stdout) as { error?: { code: string; exitStatus: number } };
  assert.equal(error?.exitStatus, status);
  return [error.code, status];
}

/** @returns a new folder below {@link work} with the livepatch's description and, under the same name, other bytes */
function besideDescription(folder: string, bytes: Uint8Array): string {
  mkdirSync(join(work, folder));
  const name = basename(livepatch);
  copyFileSync(join(work, `${livepatch}.json`), join(work, folder, `${name}.json`));
  writeFileSync(join(work, folder, `${name}.ko`), bytes);
  return join(folder, `${name}.ko`);
}

before(async () => {
  const [kit, build, vm, nothing] = await Promise.all([
    pathOfPurposes(join(work, 'path-kit'), ['kit']),
    pathOfPurposes(join(work, 'path-build'), ['build']),
    pathOfPurposes(join(work, 'path-vm'), ['vm']),
    pathOfPurposes(join(work, 'path-nothing'), []),
  ]);
  for (const [word, path] of Object.entries({ kernel: kit, delta: kit, build, prove: vm, inspect: nothing }))
    paths.set(word, path);
  // By its address: what the demo shows belongs to no package.
  const { chooseCase } = (await import(new URL('demo/choose-case.ts', repository).href)) as {
    chooseCase: (run: (words: readonly string[]) => Promise<string>) => Promise<Case>;
  };
  job = await chooseCase(async words => JSON.stringify(await done(...words)));
  if (expected[job.name]?.oops === undefined) console.error(`The main job is tested with ${job.name} only.`);
});

test('kernel fetch, delta, build: a livepatch and its description', async () => {
  assert.ok(expected[job.name] !== undefined, `nothing is known about the case '${job.name}'`);
  const { kernel } = (await done('kernel', 'fetch', job.release)) as { kernel: { release: string } };
  assert.equal(kernel.release, job.release);

  if ('text' in job.patch) writeFileSync(join(work, job.patchName), job.patch.text);
  else {
    const { from, to, file } = job.patch;
    const { status, stderr } = await kstitch(['delta', from, to, file], job.patchName);
    assert.equal(status, 0, stderr);
  }
  assert.match(readFileSync(join(work, job.patchName), 'utf8'), /^--- a\/.*\n\+\+\+ b\/.*\n@@ /m);

  const built = ['build', job.patchName, '--kernel', job.release, '--name', job.name, '-o', 'out'];
  const { modulePath } = (await done(...built)) as { modulePath: string };
  livepatch = relative(work, resolve(work, modulePath)).replace(/\.ko$/, '');
  const slug = job.name.replaceAll('-', '_');
  assert.match(livepatch, new RegExp(`^out/kstitch_${slug}_[0-9a-f]{8}$`));
  const files = readdirSync(join(work, 'out')).map(name => join('out', name));
  assert.deepEqual(files.sort(), [`${livepatch}.json`, `${livepatch}.ko`]);

  const bundle = parseBundle(readFileSync(join(work, `${livepatch}.json`), 'utf8'), livepatch);
  assert.deepEqual(
    bundle.objects.map(({ name, functions }) => [name, functions.map(changed => changed.name)]),
    [['vmlinux', expected[job.name]!.functions]],
  );
  assert.equal(bundle.kernel.release, job.release);
  assert.equal(sha256(`${livepatch}.ko`), bundle.sha256);
});

test('inspect: the module itself says the same', async () => {
  const { livepatch: report } = (await done('inspect', `${livepatch}.ko`)) as {
    livepatch: { release: string; patch: { objects: { name: string; functions: { name: string }[] }[] } };
  };
  assert.equal(report.release, job.release);
  assert.deepEqual(
    report.patch.objects.map(({ name, functions }) => [name, functions.map(changed => changed.name)]),
    [['vmlinux', expected[job.name]!.functions]],
  );
});

test('prove: the bug is there on the bare kernel, gone on the patched one, and gone again, in one boot', async () => {
  const reproducer = new URL(job.reproducer, repository).pathname;
  const module = `${livepatch}.ko`;
  const { proofPath } = (await done('prove', module, '--reproducer', reproducer, ...job.proveOptions)) as {
    proofPath: string;
  };
  assert.equal(resolve(work, proofPath), join(work, `${livepatch}.proof.json`));
  const {
    sha256: proven,
    kernel,
    bare,
    patched,
  } = parseProof(readFileSync(join(work, proofPath), 'utf8'), proofPath);
  assert.equal(proven, sha256(module));
  assert.equal(kernel.release, job.release);

  const { oops } = expected[job.name]!;
  if (oops === undefined) assert.equal(bare.how, 'status');
  else {
    assert.equal(bare.how, 'crash');
    assert.equal(bare.splats[0]?.kind, 'oops');
    assert.equal(bare.splats[0]?.function, oops);
    const log = readFileSync(join(work, 'out', bare.log.file), 'utf8');
    assert.match(log, new RegExp(`RIP: 0010:${oops}\\+0x`));
  }

  const absent = patched.runs.filter(({ bug }) => bug === 'absent').map(({ when }) => when);
  assert.deepEqual(absent, ['patched', 'reloaded']);
  assert.equal(patched.reloaded, true);
  assert.equal(patched.loads.length, 2);
  assert.notEqual(patched.bootId, bare.bootId);
  // The kernel started once, and said in that one run that it was patched, unpatched and patched.
  const log = readFileSync(join(work, 'out', patched.log.file), 'utf8');
  assert.equal(log.match(/\] Linux version /g)?.length, 1);
  assert.deepEqual(log.match(/(?<=livepatch: '\w+': )(?:un)?patching complete/g), [
    'patching complete',
    'unpatching complete',
    'patching complete',
  ]);
  if (oops !== undefined) assert.deepEqual(patched.splats, []);
});

test('a module that is cut short, or changed, is refused by inspect and prove', async () => {
  const whole = readFileSync(join(work, `${livepatch}.ko`));
  const reproducer = new URL(job.reproducer, repository).pathname;
  const short = besideDescription('short', whole.subarray(0, whole.length >> 1));
  assert.deepEqual(await refused('inspect', short), ['elf-truncated', 1]);
  assert.deepEqual(await refused('prove', short, '--reproducer', reproducer), ['elf-truncated', 1]);

  // One bit in it: still a livepatch, but not this one.
  const changed = Buffer.from(whole);
  const at = changed.indexOf('license=GPL');
  assert.ok(at > 0);
  changed[at + 8]! ^= 0x20;
  const other = besideDescription('changed', changed);
  assert.deepEqual(await refused('prove', other, '--reproducer', reproducer), ['prove-module-changed', 1]);
  for (const folder of ['short', 'changed']) {
    const name = basename(livepatch);
    assert.deepEqual(readdirSync(join(work, folder)).sort(), [`${name}.json`, `${name}.ko`]);
  }
});

test('a reproducer that passes on the bare kernel proves nothing', async () => {
  writeFileSync(join(work, 'passes.sh'), 'exit 0\n');
  const module = besideDescription('passes', readFileSync(join(work, `${livepatch}.ko`)));
  assert.deepEqual(await refused('prove', module, '--reproducer', 'passes.sh'), ['prove-not-reproduced', 2]);
  assert.ok(!readdirSync(join(work, 'passes')).some(name => name.endsWith('.proof.json')));
});

function sha256(file: string): string {
  return createHash('sha256')
    .update(readFileSync(join(work, file)))
    .digest('hex');
}
