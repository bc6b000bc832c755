/**
 * The proof that a livepatch works: two boots of the very kernel it is for, side by side.
 *
 * ```
 * bare:     reproducer → the bug is there
 * patched:  [reproducer → there]  load, transition, reproducer → gone  disable  [reproducer → there]
 *           remove, load again, reproducer → gone
 * ```
 *
 * Each run of the reproducer has a fresh file system of its own. The runs in brackets take place with `nonDestructive`.
 */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, withTemporaryDirectory, writeAtomically } from '@kstitch/host/files';
import { interruptedError, run as runProgram } from '@kstitch/host/run';
import {
  formatProof,
  PROOF_SCHEMA,
  type Proof,
  type ProofSplat,
  type ProofStep,
} from '@kstitch/livepatch/proof';
import type { Context } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { findAccelerator } from './accelerator.ts';
import { readBusybox } from './busybox.ts';
import { checkLivepatchModule, type LivepatchModule } from './check-module.ts';
import { makeExt4Disk } from './disk.ts';
import { numberIn } from './guest-channel.ts';
import type { GuestKernel } from './guest-kernel.ts';
import { type GuestFile, guestScript } from './initramfs.ts';
import { judgeBareRun, type Presence } from './judge-bare.ts';
import { judgePatchedRun, type PatchedEvidence } from './judge-patched.ts';
import type { Splat } from './kernel-log.ts';
import { diskModules, type KernelModule, readKernelModules } from './kernel-modules.ts';
import { type Accelerator, findQemu, qemuVersionOf } from './qemu.ts';
import { type MachineRun, runMachine } from './run-machine.ts';
import { limits, machineSize, SCRATCH_DISK_MIB } from './settings.ts';

export interface ProveRequest {
  readonly module: LivepatchModule;
  /** Whether the module may be removed (the bundle's `unload.verdict` is `safe`); else it is only disabled. */
  readonly removable: boolean;
  readonly kernel: GuestKernel;
  /** Text of the shell script; busybox sh runs it. */
  readonly reproducer: string;
  /** For one run of the reproducer, in seconds. */
  readonly timeoutSeconds: number;
  /** Function that an oops of the bare kernel must name. */
  readonly expectOops?: string | undefined;
  /** The bug leaves the kernel alive: it must also be there in the patched boot while the livepatch is not in force. */
  readonly nonDestructive: boolean;
  /** Modules of the kernel that the reproducer needs, by name. */
  readonly modules?: readonly string[];
  /** Size of the disk that the reproducer finds in KSTITCH_DISK, in MiB; default {@link SCRATCH_DISK_MIB}. */
  readonly diskMebibytes?: number;
  /** For a transition, in seconds; default {@link limits.transition}. */
  readonly transitionSeconds?: number;
  /** Where `NAME.bare.log`, `NAME.patched.log` and `NAME.proof.json` are written. */
  readonly outputDirectory: string;
  /** Default: whichever works. */
  readonly accelerator?: Accelerator;
}

/**
 * Boots both kernels, judges what they did, and writes the logs and the proof. The logs are written of a failed proof too; a
 * proof of earlier days does not outlive one that fails.
 *
 * @throws Refusal - the livepatch or the reproducer failed: `prove-not-reproduced`, `prove-other-oops`, `prove-load-refused`,
 *   `prove-transition-stuck`, `prove-still-present`, `prove-not-restored`, `prove-splat`, `prove-unload-failed`, `prove-incomplete`
 * @throws KstitchError - `prove-module-foreign`, `prove-module-changed`, `prove-reproducer-invalid`, `elf-*`, `vm-*`, `host-*`,
 *   `interrupted`
 */
export async function proveLivepatch(context: Context, request: ProveRequest): Promise<Proof> {
  const startedAt = new Date().toISOString();
  const began = performance.now();
  const { module, kernel, outputDirectory } = request;
  const proofPath = join(outputDirectory, `${module.name}.proof.json`);

  // The wrong file is told before anything is booted.
  checkLivepatchModule(module, kernel.release);
  const accelerator = request.accelerator ?? (await findAccelerator(context, kernel.vmlinuzPath));
  try {
    const [bare, patched] = await withTemporaryDirectory('prove', async directory =>
      bootBoth(context, request, await prepare(context, request, accelerator, directory)),
    );

    // Beyond this point the livepatch is proven; what remains is to write it down.
    const proof: Proof = {
      schema: PROOF_SCHEMA,
      module: module.name,
      sha256: module.sha256,
      kernel: {
        release: kernel.release,
        banner: bannerOf(bare.run.log),
        sha256: sha256(await readBytes(kernel.vmlinuzPath)),
      },
      machine: { accelerator, qemu: await qemuVersion(context), ...machineSize },
      reproducer: {
        sha256: sha256(request.reproducer),
        timeoutSeconds: request.timeoutSeconds,
        nonDestructive: request.nonDestructive,
        ...(request.expectOops === undefined ? {} : { expectOops: request.expectOops }),
      },
      bare: { ...describeBoot(bare), how: bare.how, splats: bare.run.splats.map(describeSplat) },
      patched: {
        ...describeBoot(patched),
        ...patched.evidence,
        splats: patched.evidence.splats.map(describeSplat),
      },
      startedAt,
      seconds: roundSeconds((performance.now() - began) / 1000),
    };
    await writeAtomically(proofPath, formatProof(proof));
    return proof;
  } catch (error) {
    if (error instanceof Refusal) await rm(proofPath, { force: true });
    throw error;
  }
}

/** What both boots share. */
interface Preparation {
  readonly accelerator: Accelerator;
  readonly directory: string;
  readonly busybox: Uint8Array;
  readonly modules: readonly KernelModule[];
  /** A fresh file system, which every run of the reproducer gets a copy of. */
  readonly disk: string;
}

async function prepare(
  context: Context,
  request: ProveRequest,
  accelerator: Accelerator,
  directory: string,
): Promise<Preparation> {
  const disk = join(directory, 'disk');
  const [busybox, modules] = await Promise.all([
    readBusybox(),
    readKernelModules(context, request.kernel.modulesDirectory, {
      required: [...diskModules.required, ...(request.modules ?? [])],
      optional: diskModules.optional,
    }),
    makeExt4Disk(context, disk, request.diskMebibytes ?? SCRATCH_DISK_MIB),
  ]);
  return { accelerator, directory, busybox, modules, disk };
}

interface Boot {
  readonly run: MachineRun;
  /** File name of the log. */
  readonly log: string;
}

interface BareBoot extends Boot {
  readonly how: Presence;
}

interface PatchedBoot extends Boot {
  readonly evidence: PatchedEvidence;
}

/** Both at once: a machine has two processors, and most of a boot happens on one. */
async function bootBoth(
  context: Context,
  request: ProveRequest,
  preparation: Preparation,
): Promise<[BareBoot, PatchedBoot]> {
  const pointless = new AbortController();
  const patchedContext = { ...context, signal: AbortSignal.any([context.signal, pointless.signal]) };
  const [bare, patched] = await Promise.allSettled([
    bootBare(context, request, preparation).catch((error: unknown) => {
      // Without a bug there is nothing to mend.
      pointless.abort();
      throw error;
    }),
    bootPatched(patchedContext, request, preparation),
  ]);
  if (context.signal.aborted) throw interruptedError(`prove ${request.module.name}`);
  if (bare.status === 'rejected') throw bare.reason;
  if (patched.status === 'rejected') throw patched.reason;
  return [bare.value, patched.value];
}

async function bootBare(
  context: Context,
  request: ProveRequest,
  preparation: Preparation,
): Promise<BareBoot> {
  const log = `${request.module.name}.bare.log`;
  const logPath = join(request.outputDirectory, log);
  const run = await boot(context, request, preparation, { plan: 'bare', runs: 1, files: [], logPath });
  const { timeoutSeconds, expectOops } = request;
  return { run, log, how: judgeBareRun(run, { timeoutSeconds, expectOops, logPath }) };
}

async function bootPatched(
  context: Context,
  request: ProveRequest,
  preparation: Preparation,
): Promise<PatchedBoot> {
  const { module, nonDestructive, removable, timeoutSeconds } = request;
  const log = `${module.name}.patched.log`;
  const logPath = join(request.outputDirectory, log);
  const run = await boot(context, request, preparation, {
    plan: 'patched',
    runs: 1 + (nonDestructive ? 2 : 0) + (removable ? 1 : 0),
    files: [{ path: '/kstitch/livepatch.ko', bytes: module.bytes }],
    logPath,
  });
  const evidence = judgePatchedRun(run, {
    module: module.name,
    nonDestructive,
    removable,
    timeoutSeconds,
    transitionSeconds: transitionSecondsOf(request),
    logPath,
  });
  return { run, log, evidence };
}

interface Plan {
  readonly plan: 'bare' | 'patched';
  /** How often the reproducer runs. */
  readonly runs: number;
  readonly files: readonly GuestFile[];
  readonly logPath: string;
}

function boot(
  context: Context,
  request: ProveRequest,
  preparation: Preparation,
  plan: Plan,
): Promise<MachineRun> {
  const name = `the ${plan.plan} kernel`;
  const { accelerator, directory, busybox, modules, disk } = preparation;
  return context.progress.step(`boot ${name}`, update =>
    runMachine(context, {
      accelerator,
      vmlinuz: request.kernel.vmlinuzPath,
      initramfs: {
        busybox,
        modules,
        main: guestScript('prove.sh'),
        settings: {
          PLAN: plan.plan,
          MODULE: request.module.name,
          TIMEOUT: request.timeoutSeconds,
          TRANSITION_LIMIT: transitionSecondsOf(request),
          NON_DESTRUCTIVE: request.nonDestructive ? 'yes' : 'no',
          REMOVABLE: request.removable ? 'yes' : 'no',
        },
        files: [{ path: '/kstitch/reproducer', bytes: Buffer.from(request.reproducer) }, ...plan.files],
      },
      disks: Array.from({ length: plan.runs }, () => ({ path: disk, writes: 'discard' as const })),
      directory,
      name,
      limitOf: step => limitOf(step, request),
      onStep: step => update(stepText(step)),
      logPath: plan.logPath,
    }),
  );
}

/** Seconds. What the guest limits itself gets some more, so that the guest can say what happened. */
function limitOf(step: string, request: ProveRequest): number {
  if (step === 'init') return limits.init;
  if (step.startsWith('reproduce-')) return request.timeoutSeconds + limits.grace;
  if (step.endsWith('-transition')) return transitionSecondsOf(request) + limits.other;
  if (step === 'load' || step === 'reload') return limits.load;
  return limits.other;
}

function transitionSecondsOf({ transitionSeconds }: ProveRequest): number {
  return transitionSeconds ?? limits.transition;
}

/** What a step of guest/prove.sh is called on the screen. */
function stepText(step: string): string {
  if (step.startsWith('reproduce-')) return 'running the reproducer';
  if (step.startsWith('cleanup-')) return 'unmounting';
  if (step.startsWith('timeout-')) return 'the reproducer did not end in time';
  if (step.endsWith('-transition')) return 'waiting for the transition';
  const words: Readonly<Record<string, string>> = {
    init: 'loading modules of the kernel',
    load: 'loading the livepatch',
    disable: 'disabling the livepatch',
    unload: 'removing the livepatch',
    reload: 'loading the livepatch again',
    finish: 'shutting down',
  };
  return words[step] ?? step;
}

function describeBoot({ run, log }: Boot): Pick<Proof['bare'], 'bootId' | 'steps' | 'log' | 'seconds'> {
  const steps = run.frames.filter(({ kind }) => kind === 'step');
  return {
    bootId: steps[0]?.values.get('boot') ?? '',
    steps: steps.map(
      (frame): ProofStep => ({
        name: frame.name,
        atSeconds: numberIn(frame, 'up') ?? 0,
        tainted: numberIn(frame, 'tainted') ?? 0,
      }),
    ),
    log: { file: log, sha256: sha256(run.log) },
    seconds: roundSeconds(run.seconds),
  };
}

function describeSplat(splat: Splat): ProofSplat {
  return {
    kind: splat.kind,
    headline: splat.headline,
    ...(splat.function === undefined ? {} : { function: splat.function }),
    ...(splat.step === undefined ? {} : { step: splat.step }),
  };
}

/** The kernel's own first words: `Linux version 6.1.0-55-cloud-amd64 (debian-kernel@…) (gcc-12 …) #1 SMP …` */
function bannerOf(log: string): string {
  return /(?<=\] )Linux version .*$/m.exec(log)?.[0] ?? '';
}

async function qemuVersion(context: Context): Promise<string> {
  const { stdout } = await runProgram(await findQemu(), ['--version'], { signal: context.signal });
  return qemuVersionOf(stdout);
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function roundSeconds(seconds: number): number {
  return Number(seconds.toFixed(2));
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(`read '${path}'`, error);
  }
}
