import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, parseBundle } from '@kstitch/livepatch/bundle';
import { parseProof } from '@kstitch/livepatch/proof';
import type { Fix, KernelCase } from './cases.ts';
import type { ProvenFix } from './kernel-result.ts';
import { makeReproducer } from './reproducer.ts';
import { buildWords, mustRun, runKstitch } from './run-kstitch.ts';

const root = join(import.meta.dirname, '..');
/** A machine without /dev/kvm that is busy may be too slow to boot, which says nothing about the livepatch. */
const BOOTS = 3;
const tooSlow: readonly string[] = ['vm-boot-failed', 'vm-guest-unusable', 'vm-qemu-died'];

/**
 * Builds Debian's own fix for a kernel and proves it there.
 *
 * @param directory - where patch, livepatch, proof and logs are left
 */
export async function proveFix(
  { release, fix }: KernelCase,
  directory: string,
  signal: AbortSignal,
): Promise<ProvenFix> {
  await mkdir(directory, { recursive: true });
  const patch = await writePatch(fix, directory, signal);
  const built = await mustRun(buildWords(patch, release, fix.name, directory), signal);
  const modulePath = String(built.json['modulePath']);
  const bundlePath = modulePath.replace(/\.ko$/, '.json');
  const bundle = parseBundle(await readFile(bundlePath, 'utf8'), bundlePath);

  const reproducer = join(directory, 'reproducer.sh');
  await writeFile(reproducer, await makeReproducer(join(root, fix.reproducer), directory, signal));
  const words = ['prove', modulePath, '--reproducer', reproducer, ...fix.proveOptions, '--yes'];
  const proofPath = await proveAtLast(words, signal);
  const { bare, patched, machine, seconds } = parseProof(await readFile(proofPath, 'utf8'), proofPath);
  const crash = bare.splats[0]?.function;
  return {
    module: bundle.module,
    functions: functionsOf(bundle),
    unload: bundle.unload.verdict,
    compiler: bundle.toolchain.compiler,
    packageVersion: bundle.kernel.packageVersion,
    bare: bare.how,
    ...(crash === undefined ? {} : { crash }),
    runs: patched.runs.map(({ when, bug }) => `${when} ${bug}`),
    reloaded: patched.reloaded,
    accelerator: machine.accelerator,
    proveSeconds: seconds,
  };
}

async function writePatch(fix: Fix, directory: string, signal: AbortSignal): Promise<string> {
  const { json } = await mustRun(['delta', fix.from, fix.to, fix.file, '--yes'], signal);
  const path = join(directory, `${fix.name}.patch`);
  await writeFile(path, String(json['patch']));
  return path;
}

/** @returns path of the proof */
async function proveAtLast(words: readonly string[], signal: AbortSignal): Promise<string> {
  for (let i = 1; i < BOOTS; i += 1) {
    const { status, json } = await runKstitch(words, signal);
    if (status === 0) return String(json['proofPath']);
    if (!tooSlow.includes(json.error?.code ?? '')) break;
  }
  return String((await mustRun(words, signal)).json['proofPath']);
}

function functionsOf({ objects }: Bundle): string[] {
  return objects.flatMap(object => object.functions.map(({ name }) => `${object.name}: ${name}`));
}
