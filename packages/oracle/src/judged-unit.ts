import type { PlacedUnit } from './placed-unit.ts';
import type { QuestionedUnit } from './question.ts';
import type { Side, Twins } from './twins.ts';

/** A unit, read. */
export interface JudgedUnit {
  readonly question: QuestionedUnit;
  readonly after: Side;
  readonly twins: Twins;
  /** Of the unit before the patch; undefined when the kernel does not ship the object. */
  readonly placed: PlacedUnit | undefined;
}
