/** What became of the difference of one file, as it is kept: one line of JSON each. */

/** Every file of the corpus ends in exactly one of these. */
export const outcomes = ['built', 'no difference', 'refused', 'does not compile alone', 'error'] as const;

export type Outcome = (typeof outcomes)[number];

/** A diagnostic, as far as a table of hundreds of them needs it. */
export interface Finding {
  readonly code: string;
  /** `vmlinux, fs/ext4/mballoc.c, ext4_mb_init()`; empty when it is not known. */
  readonly place: string;
  readonly text: string;
  readonly notes: readonly string[];
}

export interface BuiltModule {
  /** The module's name, which is the file's: `kstitch_fs_ext4_mballoc_1a2b3c4d`. */
  readonly name: string;
  /** What is patched: the kernel and modules, by name. */
  readonly objects: readonly string[];
  readonly functions: number;
  readonly klpRelocations: number;
  readonly unload: 'safe' | 'unsafe';
}

export interface FileResult {
  /** Below the kernel source. */
  readonly file: string;
  /** Which kstitch said this: the hash of its sources. */
  readonly kstitch: string;
  readonly outcome: Outcome;
  /** Of the refusal or error, the first when there are several; empty when built. */
  readonly code: string;
  readonly findings: readonly Finding[];
  /** Wall time of the build. */
  readonly seconds: number;
  /** Wall time by kind of step: `compile (patched)`. */
  readonly steps: Readonly<Record<string, number>>;
  readonly module?: BuiltModule;
}
