import type { SelfDiffAnswer } from './self-diff-worker.ts';

export interface SelfDiffRun {
  readonly release: string;
  readonly command: string;
  /** `2026-11-24` */
  readonly date: string;
  /** That were to be compared. */
  readonly units: number;
  readonly answers: readonly SelfDiffAnswer[];
}

const meanings = {
  same: 'no functional difference, neither to itself nor to itself with comments and blank lines put in',
  unplaced: 'not what the shipped kernel holds, so that nothing was compared',
  itself: 'differs from itself: a mistake of kstitch',
  shifted: 'differs from itself with lines put in: a mistake of kstitch',
  error: 'kstitch itself failed',
} as const satisfies Record<SelfDiffAnswer['outcome'], string>;

/** @returns docs/selfdiff.md */
export function writeSelfDiffPage({ release, command, date, units, answers }: SelfDiffRun): string {
  const of = (outcome: SelfDiffAnswer['outcome']) => answers.filter(each => each.outcome === outcome);
  const outcomes = Object.keys(meanings) as SelfDiffAnswer['outcome'][];
  const functions = answers.reduce((sum, each) => sum + each.functions, 0);
  const sameBytes = answers.filter(each => each.sameBytes).length;
  const rest = outcomes.filter(outcome => outcome !== 'same').flatMap(of);
  return [
    '# Units against themselves',
    '',
    `\`${command}\`, ${date}, ${release}`,
    '',
    'Each unit is compiled as the kernel was, with function sections, and with function sections after comments and blank lines',
    'were put in at a tenth of all places where they can stand. Both are compared with it, by the way of a build.',
    '',
    '| outcome | units | meaning |',
    '|---|---|---|',
    ...outcomes.map(outcome => `| ${outcome} | ${of(outcome).length} | ${meanings[outcome]} |`),
    '',
    `${answers.length} of ${units} units, ${functions} functions. With the lines put in, ${sameBytes} of the objects are the same byte for byte.`,
    '',
    ...rest.flatMap(({ object, outcome, findings }) => [
      `- \`${object}\`: ${outcome}: ${findings.slice(0, 3).join('; ')}`,
    ]),
    ...(rest.length === 0 ? [] : ['']),
  ].join('\n');
}
