import { basename } from 'node:path';
import type { LivepatchReport } from '@kstitch/livepatch/inspect';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { inputKinds, readInput } from '../input-file.ts';
import { type CommonOptions, fields, paragraphs, section } from '../run-command.ts';

/** `kstitch inspect LIVEPATCH` */
export function addInspect(program: Command, run: Run): void {
  const command = program
    .command('inspect')
    .summary('show what is in a livepatch module')
    .description(
      'Shows what a livepatch module patches and what it needs of the running kernel, whoever built it. Reads the file only.',
    )
    .argument('<livepatch>', 'the module, NAME.ko');
  finish(command, ['kstitch inspect out/kstitch_ext4_mballoc_1a2b3c4d.ko']);
  command.action((path: string, options: CommonOptions) =>
    run('inspect', options, async context => {
      const bytes = await readInput(path, inputKinds.livepatch, context.signal);
      const { inspectLivepatch } = await import('@kstitch/livepatch/inspect');
      const report = inspectLivepatch(bytes, basename(path));
      return { json: { file: path, livepatch: report }, text: look => renderLivepatch(report, look) };
    }),
  );
}

function renderLivepatch(report: LivepatchReport, look: Look): string {
  const head = fields(look, [
    ['livepatch', report.name],
    ['kernel', report.release],
    ['description', report.description ?? 'none'],
    ['licence', report.license ?? 'none'],
    ['build id', report.buildId ?? 'none'],
    ['needs modules', report.depends.join(', ') || 'none'],
    ['replaces others', report.patch === undefined ? 'unknown' : report.patch.replace ? 'yes' : 'no'],
    ['signed', report.signed ? 'yes' : 'no'],
    ['taints', report.taints.map(({ flag, reason }) => `${flag} (${reason})`).join(', ') || 'none'],
    ['size', `${report.size} bytes`],
  ]);
  const { objects = [], states = [] } = report.patch ?? {};
  const patched = objects.flatMap(object =>
    object.functions.map(
      ({ name, sympos }) => `${object.name}: ${name}()${sympos > 1 ? `, number ${sympos} of that name` : ''}`,
    ),
  );
  const callbacks = objects.flatMap(object =>
    object.callbacks.map(({ kind, name }) => `${object.name}: ${kind}: ${name}()`),
  );
  return paragraphs([
    head,
    section(look, 'patches', report.patch === undefined ? ['decided only when it is loaded'] : patched),
    section(look, 'calls back', callbacks),
    section(
      look,
      'changes system states',
      states.map(({ id, version }) => `${id}, version ${version}`),
    ),
    section(
      look,
      'looks up in the running kernel',
      report.klpSymbols.map(({ object, name, relocations }) => `${object}: ${name}, ${relocations} times`),
    ),
    section(
      look,
      'links to exports',
      report.exportedSymbols.map(({ name }) => name),
    ),
    section(
      look,
      'special sections',
      report.specialSections.map(({ name, entries }) => `${name}: ${entries}`),
    ),
  ]);
}
