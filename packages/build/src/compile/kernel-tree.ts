import type { Kit } from '../kit/kit.ts';

/** What compiling needs of a kernel kit. */
export interface KernelTree {
  readonly release: string;
  readonly packageVersion: string;
  readonly paths: Pick<Kit['paths'], 'tree' | 'units'>;
}
