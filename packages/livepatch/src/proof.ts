/**
 * `NAME.proof.json`: what was booted, run and seen when a livepatch was proven. Written by `kstitch prove` alone; everybody
 * else reads it through {@link parseProof}, the one parser.
 */
import { KstitchError } from '@kstitch/report/error';
import { z } from 'zod';
import { kernelLimits } from './kernel-limits.ts';

export const PROOF_SCHEMA = 'kstitch/proof/1';

/** In characters; a real proof has some four thousand. */
const MAX_PROOF_LENGTH = 1024 * 1024;

/** In characters, of a line of a log. */
const MAX_TEXT_LENGTH = 4096;

const text = z.string().max(MAX_TEXT_LENGTH);
const name = z.string().min(1).max(kernelLimits.symbolName);
const seconds = z.number().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const list = <T extends z.ZodType>(item: T) => z.array(item).readonly();
const record = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).readonly();

/** The kernel's own report of a fault. */
const splat = record({
  kind: z.enum(['oops', 'panic', 'bug', 'warning', 'hung-task', 'lockup', 'rcu-stall', 'trace']),
  headline: text,
  /** Where it happened, as far as the kernel says. */
  function: name.optional(),
  /** What the guest was at. */
  step: text.optional(),
});

const run = record({
  /** `before`: without the livepatch; `patched`; `disabled`: after it was disabled; `reloaded`. */
  when: z.enum(['before', 'patched', 'disabled', 'reloaded']),
  bug: z.enum(['absent', 'present']),
  seconds,
});

const load = record({
  /** How long insmod took. */
  insmodSeconds: seconds,
  /** From the kernel's "starting" to its "complete". */
  transitionSeconds: seconds,
});

const step = record({
  name,
  /** Since the kernel's start. */
  atSeconds: seconds,
  /** /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst). */
  tainted: z.int().min(0),
});

const boot = {
  /** /proc/sys/kernel/random/boot_id, the same at every step. */
  bootId: z.uuid(),
  steps: list(step),
  /** The whole log, a file beside this one. */
  log: record({ file: text, sha256 }),
  /** Wall time from starting QEMU to its end. */
  seconds,
};

const proof = record({
  schema: z.literal(PROOF_SCHEMA),
  /** The livepatch's name. */
  module: z.string().regex(/^[A-Za-z0-9_]{1,55}$/),
  /** Of the module that was loaded. */
  sha256,
  kernel: record({
    release: name,
    /** The kernel's first words, with its compiler and package version. */
    banner: text,
    /** Of the vmlinuz that was booted. */
    sha256,
  }),
  machine: record({
    /** `tcg`: QEMU emulated the processor. */
    accelerator: z.enum(['kvm', 'tcg']),
    qemu: text,
    cpus: z.int().min(1),
    memoryMiB: z.int().min(1),
  }),
  reproducer: record({
    sha256,
    timeoutSeconds: z.int().min(1),
    nonDestructive: z.boolean(),
    /** Function that the bare kernel's crash had to name. */
    expectOops: name.optional(),
  }),
  /** The kernel without the livepatch: the bug is there. */
  bare: record({
    ...boot,
    /** `status`: the reproducer said so; `crash`; `timeout`: it did not end. */
    how: z.enum(['status', 'crash', 'timeout']),
    splats: list(splat),
  }),
  /** The same kernel with the livepatch, loaded while it runs: the bug is gone. */
  patched: record({
    ...boot,
    runs: list(run),
    /** The first, and the second where the module was removed. */
    loads: list(load),
    /** How long disabling took, from the kernel's "starting" to its "complete". */
    disableSeconds: seconds,
    /** Whether the module was removed and loaded again; not of a module that may not be removed. */
    reloaded: z.boolean(),
    /** Reports of the bug itself, in the runs without the livepatch; there were none in all others. */
    splats: list(splat),
  }),
  /** When it began: UTC, ISO 8601. */
  startedAt: z.iso.datetime(),
  /** Wall time of it all. */
  seconds,
});

export type Proof = z.infer<typeof proof>;
export type ProofSplat = z.infer<typeof splat>;
export type ProofRun = z.infer<typeof run>;
export type ProofStep = z.infer<typeof step>;

/**
 * @param json - contents of `NAME.proof.json`
 * @param what - the file's name, for messages
 * @throws KstitchError - `proof-malformed` with a note for each field that is wrong, `proof-schema` when another version of
 *   kstitch wrote it
 */
export function parseProof(json: string, what: string): Proof {
  const fail = (problem: string, notes: readonly string[] = [], cause?: unknown) =>
    new KstitchError('proof-malformed', `cannot read proof '${what}': ${problem}`, { notes, cause });
  if (json.length > MAX_PROOF_LENGTH) throw fail(`longer than ${MAX_PROOF_LENGTH} characters`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw fail('not JSON', [], cause);
  }
  const schema = z.looseObject({ schema: z.string() }).safeParse(value);
  if (schema.success && schema.data.schema !== PROOF_SCHEMA)
    throw new KstitchError(
      'proof-schema',
      `cannot read proof '${what}': its schema is '${schema.data.schema}', this kstitch knows '${PROOF_SCHEMA}'`,
    );
  const parsed = proof.safeParse(value);
  if (!parsed.success) {
    const { issues } = parsed.error;
    const notes = issues.map(({ path, message }) => `${path.map(String).join('.') || 'proof'}: ${message}`);
    throw fail(`${issues.length} ${issues.length === 1 ? 'field is' : 'fields are'} wrong`, notes);
  }
  return parsed.data;
}

/**
 * @returns the text of `NAME.proof.json`, keys in the order of the schema
 * @throws KstitchError - `proof-malformed` where {@link parseProof} could not read it back
 */
export function formatProof(value: Proof): string {
  return `${JSON.stringify(parseProof(JSON.stringify(value), `${value.module}.proof.json`), undefined, 2)}\n`;
}
