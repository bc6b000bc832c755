/**
 * What loading a livepatch does to those that are active. A livepatch that replaces takes all others out of force, whatever they
 * mended; one that does not takes over the functions that it shares with them.
 */
import type { Bundle } from '@kstitch/livepatch/bundle';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { LoadedLivepatch } from './read-livepatches.ts';

export interface OtherLivepatch {
  readonly livepatch: LoadedLivepatch;
  /** undefined when kstitch did not load it. */
  readonly bundle: Bundle | undefined;
}

/**
 * @param drop - names of livepatches that may go
 */
export function judgeOthers(
  bundle: Bundle,
  others: readonly OtherLivepatch[],
  drop: readonly string[],
): Diagnostic[] {
  return others
    .filter(({ livepatch }) => livepatch.phase !== 'disabled' && livepatch.phase !== 'held')
    .flatMap(other => [
      ...judgeStates(bundle, other),
      ...(drop.includes(other.livepatch.name) ? [] : judgeLoss(bundle, other)),
    ]);
}

function judgeLoss(bundle: Bundle, { livepatch, bundle: other }: OtherLivepatch): Diagnostic[] {
  const shared = sharedFunctions(bundle, livepatch);
  if (!bundle.replace && shared.length === 0) return [];
  const verb = bundle.replace ? 'replaces' : `overrides ${shared.map(name => `${name}()`).join(', ')} of`;
  const refuse = (why: string): Diagnostic[] => [
    diagnostic('load-drops-livepatch', {}, `'${bundle.module}' ${verb} '${livepatch.name}', ${why}`, {
      help: `build a livepatch that holds both ('kstitch build --on'), or accept the loss: --drop ${livepatch.name}`,
    }),
  ];
  if (other === undefined) return refuse('which kstitch did not load: what it mends is not known');
  const kept = new Set(bundle.patches.map(({ sha256 }) => sha256));
  const lost = other.patches.filter(({ sha256 }) => !kept.has(sha256));
  if (lost.length > 0) {
    const cves = other.cves.filter(cve => !bundle.cves.includes(cve));
    return refuse(
      `and lacks its ${lost.length === 1 ? 'patch' : 'patches'} ${lost.map(({ name }) => `'${name}'`).join(', ')}${cves.length > 0 ? ` (${cves.join(', ')})` : ''}`,
    );
  }
  // include/linux/livepatch.h: of a livepatch that is replaced no callback runs.
  if (bundle.replace && other.objects.some(({ callbacks }) => callbacks.length > 0))
    return refuse('whose callbacks will not run: what they set up stays');
  if (bundle.replace && other.states.length > 0)
    return refuse('which changed system states that have to be taken over');
  return [];
}

/** As kernel/livepatch/state.c: klp_is_state_compatible() judges; the kernel would say no more than EINVAL. */
function judgeStates(bundle: Bundle, { livepatch, bundle: other }: OtherLivepatch): Diagnostic[] {
  return (other?.states ?? []).flatMap(({ id, version }) => {
    const own = bundle.states.find(state => state.id === id);
    if (own === undefined ? !bundle.replace : own.version >= version) return [];
    const text =
      own === undefined
        ? `it does not know the system state ${id} that '${livepatch.name}' changed`
        : `it knows version ${own.version} of the system state ${id}, '${livepatch.name}' made version ${version}`;
    return [diagnostic('load-state-older', {}, text)];
  });
}

function sharedFunctions(bundle: Bundle, livepatch: LoadedLivepatch): string[] {
  return bundle.objects.flatMap(({ name: object, functions }) => {
    const theirs = livepatch.objects.find(({ name }) => name === object)?.functions ?? [];
    return functions
      .filter(({ name, sympos }) =>
        theirs.some(one => one.name === name && one.sympos === Math.max(sympos, 1)),
      )
      .map(({ name }) => name);
  });
}
