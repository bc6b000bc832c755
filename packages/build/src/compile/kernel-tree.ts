import type { Kit } from '../kit/kit.ts';
import type { Workshop } from '../root/workshop.ts';

/** What compiling needs of a kernel kit. */
export interface KernelTree {
  readonly release: string;
  readonly packageVersion: string;
  /** Where it is compiled. */
  readonly workshop: Workshop;
  readonly paths: Pick<Kit['paths'], 'tree' | 'units'>;
}
