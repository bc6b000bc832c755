/**
 * Everything that can be known before a livepatch is loaded. Whatever the kernel itself would refuse is told here with what to
 * do about it; the rest is what the kernel lets happen and should not.
 */
import { createHash } from 'node:crypto';
import { readElf } from '@kstitch/elf/read';
import { readModinfo } from '@kstitch/kernel/modinfo';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { splitSignature } from '@kstitch/livepatch/module-signature';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { findTraceable, livepatchHandler, readTracedFunctions, tracefsFolder } from './ftrace-state.ts';
import { keyOf } from './function-name.ts';
import { judgeOthers, type OtherLivepatch } from './judge-others.ts';
import type { KernelIdentity } from './kernel-identity.ts';
import { readKprobes } from './kprobes.ts';
import type { Machine } from './machine.ts';
import { readLivepatches, readModules } from './read-livepatches.ts';

export interface PreflightRequest {
  readonly bundle: Bundle;
  /** The module, signed or not. */
  readonly module: Uint8Array;
  /** Livepatches that may be replaced or overridden whatever they hold. */
  readonly drop: readonly string[];
  /** Bytes free where the livepatch will be kept. */
  readonly freeDisk: number;
  /** What is known of a livepatch that is loaded; undefined of another's. */
  readonly bundleOf: (name: string) => Promise<Bundle | undefined>;
}

/** In bytes, besides the module's own: page tables, the kernel's copies of symbols, room for others. */
const spareMemory = 32 * 1024 * 1024;
const spareDisk = 1024 * 1024;

/**
 * @returns refusals first, those that another try may get round last: the first decides the exit status
 * @throws KstitchError - `machine-unreadable`, `machine-not-root`, `elf-*`, `livepatch-signature-malformed`
 */
export async function preflight(
  machine: Machine,
  kernel: KernelIdentity,
  request: PreflightRequest,
): Promise<Diagnostic[]> {
  const { bundle } = request;
  const others = await Promise.all(
    readLivepatches(machine)
      .filter(({ name }) => name !== bundle.module)
      .map(
        async (livepatch): Promise<OtherLivepatch> => ({
          livepatch,
          bundle: await request.bundleOf(livepatch.name),
        }),
      ),
  );
  const foreign = [...checkFiles(request), ...checkKernel(kernel, bundle)];
  // A file that is not what it says, or for another kernel, has nothing to do with this one's functions.
  if (foreign.length > 0) return foreign;
  return [
    ...checkPolicy(machine, request),
    ...checkFunctions(machine, bundle),
    ...judgeOthers(bundle, others, request.drop),
    ...checkRoom(machine, request),
    ...others
      .filter(({ livepatch }) => livepatch.phase === 'enabling' || livepatch.phase === 'disabling')
      .map(({ livepatch }) =>
        diagnostic('transition-busy', {}, `livepatch '${livepatch.name}' is ${livepatch.phase}`),
      ),
  ];
}

/** The module is the one that the record is about. */
export function checkFiles({ bundle, module }: Pick<PreflightRequest, 'bundle' | 'module'>): Diagnostic[] {
  const what = `${bundle.module}.ko`;
  const { unsigned } = splitSignature(module, what);
  const sum = createHash('sha256').update(unsigned).digest('hex');
  if (sum !== bundle.sha256) {
    return [
      diagnostic(
        'load-module-changed',
        { file: what },
        `the module's sha256 is '${sum}', its record says '${bundle.sha256}'`,
      ),
    ];
  }
  const modinfo = readModinfo(readElf(unsigned, what));
  const named = modinfo.get('name') ?? '';
  if (named === bundle.module && modinfo.get('livepatch') === 'Y') return [];
  return [
    diagnostic(
      'load-module-foreign',
      { file: what },
      modinfo.get('livepatch') === 'Y'
        ? `the module's name is '${named}', not '${bundle.module}'`
        : `the module '${named}' is not a livepatch`,
    ),
  ];
}

/** The release does not say it all: a rebuilt kernel may have the same and other code. */
export function checkKernel(kernel: KernelIdentity, { kernel: wanted }: Bundle): Diagnostic[] {
  if (kernel.release !== wanted.release) {
    return [
      diagnostic(
        'load-other-kernel',
        {},
        `the livepatch is for the kernel '${wanted.release}', '${kernel.release}' is running`,
      ),
    ];
  }
  if (kernel.buildId === wanted.buildId) return [];
  return [
    diagnostic(
      'load-other-kernel',
      {},
      `the running '${kernel.release}' is another build of it: its build id is '${kernel.buildId || 'none'}', the livepatch is for '${wanted.buildId || 'none'}'`,
    ),
  ];
}

/** What the kernel lets in, and whether it lets functions be redirected. */
function checkPolicy(machine: Machine, { bundle, module }: PreflightRequest): Diagnostic[] {
  const found: Diagnostic[] = [];
  if (machine.read('/proc/sys/kernel/modules_disabled') === '1')
    found.push(
      diagnostic('load-modules-disabled', {}, 'this kernel loads no modules until it is booted again'),
    );
  if (splitSignature(module, `${bundle.module}.ko`).signature === undefined) {
    const enforced = machine.read('/sys/module/module/parameters/sig_enforce') === 'Y';
    // `none [integrity] confidentiality`: the one in brackets is in force.
    const lockdown = /\[(\w+)\]/.exec(machine.read('/sys/kernel/security/lockdown') ?? '')?.[1] ?? 'none';
    if (enforced || lockdown !== 'none') {
      const why = enforced ? "'module.sig_enforce' is on" : `the kernel is locked down ('${lockdown}')`;
      found.push(diagnostic('load-unsigned', {}, `the module is not signed, and ${why}`));
    }
  }
  if (machine.read('/proc/sys/kernel/ftrace_enabled') === '0')
    found.push(
      diagnostic('load-ftrace-off', {}, "'kernel.ftrace_enabled' is 0: no function can be redirected"),
    );
  return found;
}

/** Each function can be reached by ftrace, and nobody else is in its way. */
function checkFunctions(machine: Machine, bundle: Bundle): Diagnostic[] {
  const loaded = new Set(['vmlinux', ...readModules(machine).map(({ name }) => name)]);
  const wanted = bundle.objects
    .filter(({ name }) => loaded.has(name))
    .flatMap(({ name: object, functions }) =>
      functions.map(({ name, sympos }) => ({ object, name, sympos })),
    );
  const keys = new Map(wanted.map(id => [keyOf(id), id]));
  const livepatched = new Set(
    // Its own too: one that is active is looked at before it is loaded again.
    readLivepatches(machine).flatMap(({ objects }) =>
      objects.flatMap(({ name: object, functions }) => functions.map(({ name }) => keyOf({ object, name }))),
    ),
  );
  const found: Diagnostic[] = [];

  const folder = tracefsFolder(machine);
  if (folder === undefined) {
    found.push(
      diagnostic(
        'load-tracefs-missing',
        {},
        'tracefs is not mounted, or only root may read it: who traces the functions is not known',
      ),
    );
  } else {
    const traceable = findTraceable(machine, folder, wanted);
    const reached = new Set(Array.from(traceable.values(), keyOf));
    for (const id of wanted.filter(one => !reached.has(keyOf(one))))
      found.push(diagnostic('load-function-missing', place(id), `ftrace cannot reach '${id.name}()'`));
    for (const [key, id] of traceable) keys.set(key, id);
    for (const traced of readTracedFunctions(machine, folder)) {
      const id = keys.get(keyOf(traced));
      if (id === undefined) continue;
      const { redirected, direct, handlers } = traced;
      // Only one can redirect a function. Where several trace it none is named.
      const byLivepatch = handlers.includes(livepatchHandler) || livepatched.has(keyOf(id));
      if (redirected && !byLivepatch)
        found.push(
          diagnostic(
            'load-function-taken',
            place(id),
            `'${id.name}()' is redirected by somebody else: ${handlers.join(', ') || 'the kernel does not say whom'}`,
          ),
        );
      if (direct)
        found.push(
          diagnostic('load-function-direct', place(id), `a BPF program is attached to '${id.name}()'`),
        );
    }
  }
  // A probe at the entry is hit as before; one further in is in code that nobody calls any more.
  for (const { object, symbol, offset } of readKprobes(machine).filter(
    probe => !probe.byFtrace && keys.has(keyOf({ object: probe.object, name: probe.symbol })),
  ))
    found.push(
      diagnostic(
        'load-kprobe-inside',
        { object, symbol, offset },
        `a kprobe inside of '${symbol}()' will no longer be hit`,
      ),
    );
  return found;
}

function place({ object, name }: { readonly object: string; readonly name: string }) {
  return { object, symbol: `${name}()` };
}

function checkRoom(machine: Machine, { module, freeDisk }: PreflightRequest): Diagnostic[] {
  const found: Diagnostic[] = [];
  const available = /^MemAvailable:\s*(\d+) kB$/m.exec(machine.read('/proc/meminfo') ?? '')?.[1];
  const memory = spareMemory + 4 * module.length;
  if (available !== undefined && Number(available) * 1024 < memory)
    found.push(
      diagnostic(
        'load-memory-low',
        {},
        `${Math.round(Number(available) / 1024)} MiB of memory are available, loading may take ${Math.round(memory / 1024 / 1024)} MiB`,
      ),
    );
  const disk = spareDisk + 2 * module.length;
  if (freeDisk < disk)
    found.push(
      diagnostic(
        'load-disk-low',
        {},
        `${Math.round(freeDisk / 1024)} KiB are free for the livepatch and the journal, ${Math.round(disk / 1024)} KiB are needed`,
      ),
    );
  return found;
}
