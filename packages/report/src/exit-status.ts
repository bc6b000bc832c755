/**
 * Exit statuses of every kstitch command. Documented in the README; scripts rely on them.
 */
export const ExitStatus = {
  done: 0,
  error: 1,
  refused: 2,
  nothingToDo: 3,
  tryAgain: 4,
  timedOutAndReversed: 5,
  /** Of `status` alone, like the next three. */
  rebootNeeded: 10,
  installedNotActive: 11,
  transitionStuck: 12,
  guardTripped: 13,
  usage: 64,
  interrupted: 130,
} as const;

export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];
