import type { Explanation } from '@kstitch/manager/explain';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { type CommonOptions, fields, lines, paragraphs, section } from '../run-command.ts';

/** `kstitch explain` */
export function addExplain(program: Command, run: Run): void {
  const command = program
    .command('explain')
    .summary('explain why a transition does not end')
    .description(
      'Names each task that keeps a livepatch from being enabled or disabled, with its stack, the function that it is in, and ' +
        'what will move it.',
    );
  finish(command, ['kstitch explain']);
  command.action((options: CommonOptions) =>
    run('explain', options, async () => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { explainTransition } = await import('@kstitch/manager/explain');
      const { nameBlocker } = await import('@kstitch/manager/explain');
      const explanation = explainTransition(openManager().machine);
      return {
        json: { transition: explanation ?? null },
        text: look =>
          explanation === undefined
            ? lines(['no transition is going on'])
            : render(explanation, nameBlocker, look),
      };
    }),
  );
}

function render(
  { livepatch, phase, blockers }: Explanation,
  nameBlocker: (blocker: Explanation['blockers'][number]) => string,
  look: Look,
): string {
  const back =
    phase === 'enabling'
      ? `kstitch unload ${livepatch}`
      : `echo 1 > /sys/kernel/livepatch/${livepatch}/enabled`;
  return paragraphs([
    fields(look, [
      ['livepatch', `${livepatch} is ${phase}`],
      [
        'in the way',
        blockers.length === 0
          ? 'no task: an idle processor, which moves by itself within a second or two'
          : `${blockers.length} ${blockers.length === 1 ? 'task' : 'tasks'}`,
      ],
    ]),
    ...blockers.map(blocker =>
      section(look, nameBlocker(blocker), [blocker.moves, ...blocker.stack.map(frame => `  ${frame}`)]),
    ),
    fields(look, [['to take it back', back]]),
  ]);
}
