import type { BootStatus } from '@kstitch/manager/boot-status';
import type { KernelIdentity } from '@kstitch/manager/kernel-identity';
import type { LivepatchStatus, MachineStatus, PublicStatus } from '@kstitch/manager/status';
import { diagnostic } from '@kstitch/report/diagnostic';
import { ExitStatus } from '@kstitch/report/exit-status';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { type CommonOptions, fields, paragraphs, section } from '../run-command.ts';

type AnyStatus = MachineStatus | PublicStatus;

const statusOf = {
  well: ExitStatus.done,
  'reboot needed': ExitStatus.rebootNeeded,
  'fix withdrawn': ExitStatus.installedNotActive,
  'installed but not active': ExitStatus.installedNotActive,
  'transition stuck': ExitStatus.transitionStuck,
  'guard tripped': ExitStatus.guardTripped,
  // A monitor that may not see it must not take it for well.
  unknown: ExitStatus.error,
} as const satisfies Record<AnyStatus['health'], ExitStatus>;

/** `kstitch status` */
export function addStatus(program: Command, run: Run): void {
  const command = program
    .command('status')
    .summary('show how the running kernel and its livepatches are')
    .description(
      'Shows the running kernel, what is installed for it, each livepatch with its state, what it patches and mends, and since ' +
        'when. Exit status besides the usual: 10 reboot needed, 11 the installed livepatch is not active or a fix is out of ' +
        'force, 12 a transition is stuck or did not end at boot, 13 the installed livepatch is left out after a crash. To others ' +
        'than root it shows what the kernel tells everybody, and ends with 1: whether that is well only root may know.',
    );
  finish(command, ['kstitch status']);
  command.action((options: CommonOptions) =>
    run('status', options, async context => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { readVisibleStatus, tellUnknown, tellHidden } = await import('@kstitch/manager/status');
      const { tellUnfinishedReload } = await import('@kstitch/manager/unfinished-reload');
      const manager = openManager();
      const status = await readVisibleStatus(manager);
      context.diagnostics.push(...tellUnknown(status));
      if (status.health !== 'unknown')
        context.diagnostics.push(...tellUnfinishedReload(status.unfinishedReload), ...tellHidden(status));
      const damaged = status.health === 'unknown' ? 0 : status.damagedJournalLines;
      if (damaged > 0)
        context.diagnostics.push(
          diagnostic(
            'journal-damaged',
            {},
            `${damaged} ${damaged === 1 ? 'line' : 'lines'} of the journal cannot be read`,
          ),
        );
      const { livepatches } = status;
      const whyUnknown = status.health === 'unknown' ? 'only root may see it' : 'kstitch did not load it';
      return {
        json: { kernel: manager.kernel, ...status },
        text: look =>
          paragraphs([
            renderMachine(manager.kernel, status, look),
            ...livepatches.map(livepatch => renderOne(livepatch, whyUnknown, look)),
          ]),
        status: statusOf[status.health],
      };
    }),
  );
}

function renderMachine(kernel: KernelIdentity, status: AnyStatus, look: Look): string {
  return fields(look, [
    ['kernel', kernel.release],
    ['build id', kernel.buildId || 'none'],
    ['running for', duration(kernel.uptime)],
    ['health', healthText(status)],
    ...(status.health === 'unknown' ? [] : status.unfinished).map(
      ({ action, livepatch, at }): [string, string] => [
        'interrupted',
        `${action} of '${livepatch}', begun ${at}: it goes on or was killed`,
      ],
    ),
    ...(status.boot === null ? [] : renderBoot(status.boot)),
    ['livepatches', status.livepatches.length === 0 ? 'none' : String(status.livepatches.length)],
  ]);
}

function renderBoot({
  installed,
  active,
  reasons,
  switchedOff,
  guard,
  others,
}: BootStatus): [string, string][] {
  const name = ({ livepatch }: { readonly livepatch: string | undefined }): string =>
    livepatch ?? 'unknown, its file is damaged';
  return [
    ...(installed === null
      ? []
      : [row('installed', `${name(installed)}, ${active ? 'active' : 'not active'}`)]),
    ...(reasons.length === 0 ? [] : [row('because', reasons.join('; '))]),
    ...(guard?.state === 'set' ? [row('guard', `set ${guard.at}, until it has settled`)] : []),
    ...(guard?.state === 'tripped'
      ? [row('guard', `tripped; once you know why: kstitch install ${installed?.livepatch ?? 'FILE'}`)]
      : []),
    ...(switchedOff === null ? [] : [row('at boot', `nothing is loaded: ${switchedOff}`)]),
    ...others.map(other => row('installed', `${name(other)}, for ${other.kernel}`)),
  ];
}

function row(label: string, value: string): [string, string] {
  return [label, value];
}

/** @returns the health in words, and what to do where something can be done */
export function healthText({ health, livepatches }: Pick<AnyStatus, 'health' | 'livepatches'>): string {
  if (health === 'unknown') return 'unknown: only root may see what is installed';
  if (health === 'guard tripped') return 'the installed livepatch is left out after a crash';
  if (health === 'installed but not active') return 'the installed livepatch is not active';
  if (health === 'transition stuck')
    return livepatches.some(({ phase }) => phase === 'enabling' || phase === 'disabling')
      ? "a transition is stuck: 'kstitch explain' shows why"
      : 'the transition did not end when the kernel booted, nor later on';
  if (health === 'reboot needed')
    return 'a livepatch was forced: boot again when you can, and load no more before';
  if (health === 'fix withdrawn')
    return livepatches.some(({ attestation }) => attestation?.verdict === 'not in force')
      ? 'a livepatch is active and yet not in force: unload it and load it again'
      : 'a module was to be loaded again, and that did not end';
  return 'well';
}

function renderOne(livepatch: LivepatchStatus, whyUnknown: string, look: Look): string {
  const { attestation, objects, patches, cves } = livepatch;
  const states = new Map(
    attestation?.functions.map(({ object, name, state }) => [`${object}:${name}`, state]),
  );
  return paragraphs([
    fields(look, [
      ['livepatch', livepatch.name],
      ['state', `${livepatch.phase}${livepatch.forced ? ', forced' : ''}`],
      ...(attestation === undefined ? [] : [['in force', attestation.verdict] as const]),
      ['since', livepatch.since ?? 'unknown'],
      ['mends', livepatch.known ? [...cves, ...patches].join(', ') : `unknown: ${whyUnknown}`],
      [
        'may be removed',
        livepatch.unload === undefined ? 'unknown' : livepatch.unload.verdict === 'safe' ? 'yes' : 'no',
      ],
    ]),
    section(
      look,
      'functions',
      objects.flatMap(({ name: object, patched, functions }) =>
        functions.map(({ name }) => {
          const state = states.get(`${object}:${name}`) ?? (patched ? 'patched' : 'its object is not loaded');
          return `${object}: ${name}(): ${state}`;
        }),
      ),
    ),
  ]);
}

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
}
