/**
 * `npm run bench`: how long the main job takes, on fixed inputs. Prints a table in Markdown: median, minimum and maximum.
 *
 *   npm run bench                      all of the parts
 *   npm run bench -- --only differ     one part: build, prove, load, manager, kallsyms, differ, header,
 *                                      flavour (with the kit of 6.1.0-55-amd64), kit
 *   npm run bench -- --kit             also a kernel kit from nothing, downloads included
 *   npm run bench -- --runs 3          other than 5 runs of each
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openKit } from '@kstitch/build/kit/kit';
import { readElf } from '@kstitch/elf/read';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { readKallsyms } from '@kstitch/kernel/kallsyms';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { type Figure, printFigures } from './figures.ts';
import { measureDiffer } from './measure-differ.ts';
import { measureFlavour } from './measure-flavour.ts';
import { measureHeader } from './measure-header.ts';
import { measureLoad } from './measure-load.ts';
import { measureManager } from './measure-manager.ts';

const release = '6.1.0-55-cloud-amd64';
const root = fileURLToPath(new URL('..', import.meta.url));
const launcher = join(root, 'packages/cli/bin/kstitch');

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    only: { type: 'string' },
    kit: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);

const wants = (part: string) => values.only === undefined || values.only === part;

const work = await mkdtemp(join(tmpdir(), 'kstitch-bench-'));
const figures: Figure[] = [];
try {
  if (['build', 'prove', 'load'].some(wants)) {
    const { patch } = await kstitch(
      ['delta', '6.1.192-1', '6.1.192-2', 'fs/ext4/mballoc.c'],
      cacheDirectory(),
    );
    const patchPath = join(work, 'ext4.patch');
    await writeFile(patchPath, String(patch));
    if (wants('build')) await measureBuilds(patchPath);
    if (wants('prove')) await measureProofs(await buildFix());
    if (wants('load')) figures.push(...(await measureLoad(await openKit(release), await buildFix(), runs)));
  }
  if (wants('manager')) figures.push(...(await measureManager(runs)));
  if (wants('kallsyms')) await measureKallsyms();
  if (wants('differ')) figures.push(...(await measureDiffer(await openKit(release), runs)));
  if (wants('header')) figures.push(...(await measureHeader(release, work)));
  if (values.only === 'flavour') figures.push(...(await measureFlavour('6.1.0-55-amd64', work, runs)));
  if (values.kit || values.only === 'kit') await measureKit();
} finally {
  await rm(work, { recursive: true, force: true });
}
printFigures(figures, runs);

/** Warm: the unpatched unit was compiled by an earlier build. Cold: nothing but the kit is there. */
async function measureBuilds(patchPath: string): Promise<void> {
  for (const kind of ['cold', 'warm'] as const) {
    const wall: number[] = [];
    const own: number[] = [];
    const memory: number[] = [];
    const cache = join(work, 'cache');
    for (let i = 0; i < runs; i += 1) {
      if (kind === 'cold') await rm(cache, { recursive: true, force: true });
      await mkdir(cache, { recursive: true });
      await symlink(join(cacheDirectory(), 'kits'), join(cache, 'kits')).catch(() => {});
      const words = [
        'build',
        patchPath,
        '--kernel',
        release,
        '--name',
        'ext4-mballoc',
        '-o',
        join(work, 'out'),
        '--timing',
      ];
      const { timing } = await kstitch(words, cache);
      wall.push(timing.totalSeconds);
      own.push(timing.processorSeconds);
      memory.push(timing.peakMemoryMiB);
    }
    figures.push({
      what: `build the ext4 fix, ${kind}`,
      unit: 's',
      wanted: kind === 'warm' ? 'at most 15 s' : 'at most 18 s',
      samples: wall,
    });
    figures.push({
      what: `… processor time of kstitch itself, ${kind}`,
      unit: 's',
      wanted: 'at most 2 s',
      samples: own,
    });
    figures.push({
      what: `… peak memory of node, ${kind}`,
      unit: 'MiB',
      wanted: 'at most 400 MiB',
      samples: memory,
    });
  }
}

async function buildFix(): Promise<string> {
  const { modulePath } = await kstitch(
    [
      'build',
      join(work, 'ext4.patch'),
      '--kernel',
      release,
      '--name',
      'ext4-mballoc',
      '-o',
      join(work, 'out'),
    ],
    cacheDirectory(),
  );
  return String(modulePath);
}

async function measureProofs(modulePath: string): Promise<void> {
  const wall: number[] = [];
  const words = ['prove', modulePath, '--reproducer', join(root, 'demo/reproducer.sh'), '--timing'];
  for (let i = 0; i < runs; i += 1) {
    const { timing } = await kstitch([...words, '--expect-oops', 'ext4_mb_load_buddy_gfp'], cacheDirectory());
    wall.push(timing.totalSeconds);
  }
  figures.push({ what: 'prove it', unit: 's', wanted: 'at most 60 s', samples: wall });
}

async function measureKallsyms(): Promise<void> {
  const bytes = await readFile((await openKit(release)).paths.vmlinux);
  const samples = Array.from({ length: runs }, () => {
    const begin = performance.now();
    readKallsyms(new KernelImage(readElf(bytes, 'vmlinux')));
    return performance.now() - begin;
  });
  figures.push({
    what: `kallsyms of a vmlinux of ${Math.round(bytes.length / 1e6)} MB`,
    unit: 'ms',
    wanted: 'at most 500 ms',
    samples,
  });
}

/** Once: it takes minutes. The download is in it. */
async function measureKit(): Promise<void> {
  const cache = join(work, 'empty');
  await mkdir(cache);
  const { timing } = await kstitch(['kernel', 'fetch', release, '--timing', '--yes'], cache);
  figures.push({
    what: 'kernel kit from nothing, with the download',
    unit: 's',
    wanted: undefined,
    samples: [timing.totalSeconds],
  });
}

interface CommandResult {
  readonly [key: string]: unknown;
  readonly timing: { totalSeconds: number; processorSeconds: number; peakMemoryMiB: number };
}

async function kstitch(words: readonly string[], cache: string): Promise<CommandResult> {
  const child = spawn(launcher, [...words, '--json', '--quiet'], {
    env: { ...process.env, KSTITCH_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 130));
  });
  if (status !== 0) throw new Error(`kstitch ${words.join(' ')} ended with ${status}: ${text}`);
  return JSON.parse(text) as CommandResult;
}
