/** What `kstitch review` finds out: plain data, printed as JSON as it stands. */
import type { Diagnostic } from '@kstitch/report/diagnostic';
import type { CallDelta } from './balance.ts';
import type { CodeDifference } from './code-difference.ts';
import type { Hazard } from './hazards.ts';
import type { FunctionUses } from './shipped-uses.ts';
import type { SourceHunk } from './source-hunks.ts';
import type { StructAccess } from './struct-access.ts';
import type { ReachedSymbols } from './unit-changes.ts';
import type { Why } from './why.ts';

export interface Review {
  readonly kernel: { readonly release: string; readonly packageVersion: string; readonly buildId: string };
  readonly patches: readonly { readonly name: string; readonly sha256: string }[];
  readonly cves: readonly string[];
  readonly verdict: Verdict;
  /** Every changed file of the patch, whether or not it makes a functional difference. */
  readonly files: readonly { readonly path: string; readonly hunks: readonly SourceHunk[] }[];
  readonly units: UnitCounts;
  readonly functions: readonly ReviewedFunction[];
  /** Calls that take or give something back, and that the patch adds or removes. */
  readonly balance: readonly CallDelta[];
  readonly structs: readonly StructAccess[];
  /** Types whose memory or values the patch changes. */
  readonly types: readonly ReviewedType[];
  /** Everything that the stages of a build found. */
  readonly findings: readonly Diagnostic[];
  /** Of the livepatch; undefined when there would be none. */
  readonly livepatch: LivepatchFacts | undefined;
  /** What this review could not look into, and why. */
  readonly gaps: readonly string[];
}

export type Verdict = 'buildable' | 'refused' | 'no difference';

export interface UnitCounts {
  /** Compiled without and with the patch; undefined when the run ended before. */
  readonly affected: readonly string[] | undefined;
  /** Those of them whose objects differ. */
  readonly changed: readonly string[];
}

/** A struct, union or enumerator that is another one with the patch. */
export interface ReviewedType {
  readonly name: string;
  /** What of it changes. */
  readonly text: string;
  readonly notes: readonly string[];
  /** Of the changed units those that know it. */
  readonly units: readonly string[];
  /** `hole`: where unpatched code never looks. `accepted`: its author says that no unpatched code uses it. */
  readonly verdict: 'refused' | 'hole' | 'accepted';
}

export interface LivepatchFacts {
  readonly module: string;
  readonly unload: { readonly verdict: 'safe' | 'unsafe'; readonly reasons: readonly string[] };
  readonly reload: readonly string[];
  readonly cautions: readonly string[];
  readonly klpRelocations: number;
  readonly newSymbols: readonly string[];
}

export interface ReviewedFunction {
  /** As the running kernel has it; of a new function, as the livepatch will. */
  readonly name: string;
  /** The function of the source: `foo` for `foo.isra.0`. */
  readonly sourceName: string;
  readonly object: string;
  readonly unit: string;
  /** `carrier`: its own code is the same, and it calls what changed and cannot be redirected. */
  readonly kind: 'changed' | 'new' | 'carrier';
  /** Whether the livepatch redirects it; undefined when there is no livepatch. */
  readonly redirected: boolean | undefined;
  /** The compiler made it out of `sourceName`. */
  readonly clone: string | undefined;
  /** Nothing differs but the part that the compiler put aside as unlikely. */
  readonly coldOnly: boolean;
  /** In bytes; undefined of a new function. */
  readonly sizeBefore: number | undefined;
  readonly sizeAfter: number;
  /** Empty when no changed line explains it. */
  readonly why: readonly Why[];
  /** What is known of a function that nothing explains. */
  readonly facts: readonly string[];
  readonly reached: ReachedSymbols;
  readonly code: CodeDifference;
  /** Undefined of a new function, and where the shipped one could not be told from its namesakes. */
  readonly uses: FunctionUses | undefined;
  readonly hazards: readonly Hazard[];
}
