/** What the matrix found out about one kernel, part by part, as it is kept: one line of JSON each. */

/** Making the kit, apart from what depends on the network. */
export interface KitTimes {
  /** Wall time beside the download and the build root. */
  readonly seconds: number;
  /** Processor time of kstitch and all it called, the build root with it. */
  readonly processorSeconds: number;
  /** Wall time of making the build root, beside its download; absent where this machine's compiler does. */
  readonly rootSeconds?: number;
  /** Bytes do not matter here, the archive's speed does. */
  readonly downloadSeconds: number;
}

/** What a shipped kernel has that decides how livepatches for it are made. */
export interface ImageFacts {
  readonly symbols: number;
  /** Functions whose padding has a symbol, `__pfx_…`. */
  readonly padded: number;
  /** Functions whose landing pad for indirect branches the kernel takes away at boot (`.ibt_endbr_seal`). */
  readonly sealed: number;
  /** Numbers that are written into the code of vmlinux at boot, with how many places: `runtime_ptr_USER_PTR_MAX 118`. */
  readonly constants: readonly string[];
  /** Bytes of an entry of `.altinstructions`. */
  readonly altInstruction: number;
  /** Whether there is `.parainstructions`. */
  readonly paravirt: boolean;
  /** Bytes of struct module. */
  readonly moduleSize: number;
  readonly modules: number;
  /** What their names end in: `.ko`, `.ko.xz`. */
  readonly moduleFiles: string;
}

/** A sample of units, looked for in the shipped kernel. */
export interface Placement {
  readonly seed: number;
  readonly units: number;
  /** Of them, those of vmlinux; the others belong to modules. */
  readonly builtIn: number;
  readonly placed: number;
  readonly functions: number;
  readonly relocations: number;
  readonly failures: readonly PlacementFailure[];
}

export interface PlacementFailure {
  readonly unit: string;
  /** `vmlinux`, or the module's name. */
  readonly object: string;
  /** Codes of what speaks against the place, each once. */
  readonly codes: readonly string[];
  /** The first finding's words. */
  readonly text: string;
}

/** A livepatch of a real fix, built and run. */
export interface ProvenFix {
  readonly module: string;
  /** `vmlinux: common_timer_get` */
  readonly functions: readonly string[];
  readonly unload: 'safe' | 'unsafe';
  readonly compiler: string;
  readonly packageVersion: string;
  /** How the bare kernel showed the bug. */
  readonly bare: 'status' | 'crash' | 'timeout';
  /** Function that the crash names. */
  readonly crash?: string;
  /** Runs of the reproducer on the patched kernel, in order: `patched absent`. */
  readonly runs: readonly string[];
  readonly reloaded: boolean;
  readonly accelerator: 'kvm' | 'tcg';
  readonly proveSeconds: number;
}

/** A build for which everything that can be kept was kept. */
export interface WarmBuild {
  /** Wall time, one figure a run. */
  readonly seconds: readonly number[];
  /** Processor time of kstitch and all it called, one figure a run: what else the machine does is not in it. */
  readonly processorSeconds: readonly number[];
}

/** A kernel that no kit is made of. */
export interface RefusedFetch {
  readonly code: string;
  readonly message: string;
  /** Lines of the shipped configuration that decide about livepatches. */
  readonly config: readonly string[];
}

/** The parts are done again for themselves. */
export interface KernelResult {
  readonly kit?: KitTimes | undefined;
  readonly image?: ImageFacts | undefined;
  readonly placement?: Placement | undefined;
  readonly fix?: ProvenFix | undefined;
  readonly warm?: WarmBuild | undefined;
  readonly refused?: RefusedFetch | undefined;
}
