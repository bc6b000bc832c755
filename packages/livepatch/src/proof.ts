/**
 * `NAME.proof.json`: what was booted, run and seen when a livepatch was proven. Written by `kstitch prove` alone; everybody
 * else reads it through {@link parseProof}, the one parser.
 */
import * as v from 'valibot';
import {
  count,
  integer,
  list,
  name,
  objectName,
  parseDocument,
  record,
  seconds,
  sha256,
  text,
} from './document.ts';

export const PROOF_SCHEMA = 'kstitch/proof/1';

/** In characters; a real proof has some four thousand. */
const MAX_PROOF_LENGTH = 1024 * 1024;

/** The kernel's own report of a fault. */
const splat = record({
  kind: v.picklist(['oops', 'panic', 'bug', 'warning', 'hung-task', 'lockup', 'rcu-stall', 'trace']),
  headline: text,
  /** Where it happened, as far as the kernel says. */
  function: v.optional(name),
  /** What the guest was at. */
  step: v.optional(text),
});

const run = record({
  /** `before`: without the livepatch; `patched`; `disabled`: after it was disabled; `reloaded`. */
  when: v.picklist(['before', 'patched', 'disabled', 'reloaded']),
  bug: v.picklist(['absent', 'present']),
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
  tainted: count,
});

const boot = {
  /** /proc/sys/kernel/random/boot_id, the same at every step. */
  bootId: v.pipe(v.string(), v.uuid()),
  steps: list(step),
  /** The whole log, a file beside this one. */
  log: record({ file: text, sha256 }),
  /** Wall time from starting QEMU to its end. */
  seconds,
};

const proof = record({
  schema: v.literal(PROOF_SCHEMA),
  /** The livepatch's name. */
  module: objectName,
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
    accelerator: v.picklist(['kvm', 'tcg']),
    qemu: text,
    cpus: integer(1),
    memoryMiB: integer(1),
  }),
  reproducer: record({
    sha256,
    timeoutSeconds: integer(1),
    nonDestructive: v.boolean(),
    /** Function that the bare kernel's crash had to name. */
    expectOops: v.optional(name),
  }),
  /** The kernel without the livepatch: the bug is there. */
  bare: record({
    ...boot,
    /** `status`: the reproducer said so; `crash`; `timeout`: it did not end. */
    how: v.picklist(['status', 'crash', 'timeout']),
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
    reloaded: v.boolean(),
    /** Reports of the bug itself, in the runs without the livepatch; there were none in all others. */
    splats: list(splat),
  }),
  /** When it began: UTC, ISO 8601. */
  startedAt: v.pipe(v.string(), v.isoTimestamp(), v.endsWith('Z')),
  /** Wall time of it all. */
  seconds,
});

const kind = {
  kind: 'proof',
  malformed: 'proof-malformed',
  otherSchema: 'proof-schema',
  schemaName: PROOF_SCHEMA,
  maxLength: MAX_PROOF_LENGTH,
  schema: proof,
} as const;

export type Proof = v.InferOutput<typeof proof>;
export type ProofSplat = v.InferOutput<typeof splat>;
export type ProofRun = v.InferOutput<typeof run>;
export type ProofStep = v.InferOutput<typeof step>;

/**
 * @param json - contents of `NAME.proof.json`
 * @param what - the file's name, for messages
 * @throws KstitchError - `proof-malformed` with notes on the fields that are wrong, `proof-schema` when another version of
 *   kstitch wrote it
 */
export function parseProof(json: string, what: string): Proof {
  return parseDocument(kind, json, what);
}

/**
 * @returns the text of `NAME.proof.json`, keys in the order of the schema
 * @throws KstitchError - `proof-malformed` where {@link parseProof} could not read it back
 */
export function formatProof(value: Proof): string {
  return `${JSON.stringify(parseProof(JSON.stringify(value), `${value.module}.proof.json`), undefined, 2)}\n`;
}
