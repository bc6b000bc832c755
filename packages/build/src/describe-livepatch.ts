import { createHash } from 'node:crypto';
import type { Extraction } from '@kstitch/diff/extract';
import type { PatchReason } from '@kstitch/diff/select/carry-by-callers';
import { BUNDLE_SCHEMA, type Bundle, type BundleFunction, findCves } from '@kstitch/livepatch/bundle';
import { inspectLivepatch } from '@kstitch/livepatch/inspect';
import { modulesNotReloadable } from '@kstitch/livepatch/module-reload';
import type { LivepatchPlan } from '@kstitch/livepatch/plan';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { version } from '@kstitch/report/version';
import type { PatchedUnit } from './build-livepatch.ts';
import type { Toolchain } from './compile/compiler.ts';
import type { ShippedKernel } from './kernel/load-kernel.ts';
import type { AppliedPatch } from './patch/apply-patch.ts';
import type { PatchText } from './patch/parse-patch.ts';

/** What there is to tell about a finished livepatch. */
export interface LivepatchStory {
  readonly patches: readonly PatchText[];
  /** Whether the units are carried unchanged. */
  readonly identity: boolean;
  readonly patch: AppliedPatch;
  readonly kernel: ShippedKernel;
  readonly toolchain: Toolchain;
  readonly plan: LivepatchPlan;
  /** Every affected unit, those without a difference included. */
  readonly units: readonly PatchedUnit[];
  readonly extractions: readonly Extraction[];
  readonly acceptedLayouts: Bundle['acceptedLayouts'];
  /** The finished .ko. */
  readonly module: Uint8Array;
  readonly diagnostics: readonly Diagnostic[];
}

/** @returns the livepatch's record, a function of its inputs alone */
export function describeLivepatch(story: LivepatchStory): Bundle {
  const { kernel, toolchain, plan, units, extractions, module } = story;
  const report = inspectLivepatch(module, `${plan.moduleName}.ko`);
  const counts = new Map(report.klpSymbols.map(s => [`${s.object} ${s.name} ${s.sympos}`, s.relocations]));
  const reasons = new Map(
    units.flatMap(unit =>
      unit.difference.selection.patched.map(
        f => [`${unit.object} ${f.oldName} ${f.oldSympos}`, f.reason] as const,
      ),
    ),
  );
  const sum = (valueOf: (unit: PatchedUnit) => number): number =>
    units.reduce((total, unit) => total + valueOf(unit), 0);
  const hazards = units.flatMap(unit => unit.difference.selection.unloadHazards);
  const carried: Record<string, number> = {};
  for (const extraction of extractions) {
    for (const [name, entries] of extraction.carried) carried[name] = (carried[name] ?? 0) + entries;
  }
  return {
    schema: BUNDLE_SCHEMA,
    kstitch: version,
    module: plan.moduleName,
    sha256: createHash('sha256').update(module).digest('hex'),
    kernel: {
      release: kernel.kit.release,
      packageVersion: kernel.kit.packageVersion,
      buildId: kernel.buildId,
    },
    objects: plan.objects.map(object => ({
      name: object.name,
      functions: object.functions.map(f => ({
        name: f.oldName,
        sympos: f.oldSympos,
        unit: f.unit,
        why: whyWord[reasons.get(`${object.name} ${f.oldName} ${f.oldSympos}`) ?? 'changed'],
      })),
      callbacks: object.callbacks.map(({ kind, name, unit }) => ({ kind, name, unit })),
    })),
    states: plan.states,
    identity: story.identity ? units.map(describeIdentity) : [],
    newSymbols: units.flatMap(newSymbols),
    references: plan.references.flatMap(({ object, name, sympos, gate }) => {
      const count = counts.get(`${object} ${name} ${sympos}`) ?? 0;
      return count === 0 ? [] : [{ object, name, sympos, gate, count }];
    }),
    exportedSymbols: [...new Set(extractions.flatMap(extraction => extraction.exports))].sort(),
    patches: story.patches.map(({ bytes }, i) => ({
      name: story.patch.patches[i]?.name ?? '',
      sha256: story.patch.patches[i]?.sha256 ?? '',
      text: Buffer.from(bytes).toString('latin1'),
    })),
    acceptedLayouts: story.acceptedLayouts,
    cves: findCves(story.patches.map(({ bytes }) => Buffer.from(bytes).toString('latin1')).join('\n')),
    toolchain: { compiler: toolchain.compiler, linker: toolchain.linker, ...rootOf(kernel) },
    runPre: {
      units: units.length,
      functions: sum(unit => unit.difference.runPre.functions),
      relocations: sum(unit => unit.difference.runPre.relocations),
      jumpLabelSites: sum(unit => unit.difference.runPre.jumpLabelSites),
      widthOnlyDifferences: sum(unit => unit.difference.runPre.widthOnly),
    },
    specialSections: carried,
    klpRelocations: report.klpRelocations.reduce((total, { count }) => total + count, 0),
    replace: true,
    unload: { verdict: hazards.length === 0 ? 'safe' : 'unsafe', reasons: hazards },
    reload: reloadCautions(kernel, plan),
    cautions: story.diagnostics.filter(d => d.severity === 'caution').map(d => d.text),
  };
}

const whyWord = {
  changed: 'changed',
  'cold part changed': 'cold',
  'calls a changed function': 'calls',
  identity: 'identity',
} as const satisfies Record<PatchReason, BundleFunction['why']>;

function describeIdentity({ command, object, difference }: PatchedUnit): Bundle['identity'][number] {
  return {
    unit: command.source,
    object,
    carried: difference.selection.patched.length,
    leftOut: difference.leftOut.map(({ name, why }) => ({ name, why })),
  };
}

/** What of another Debian release it was compiled with, to the version. */
function rootOf({ kit }: ShippedKernel): Pick<Bundle['toolchain'], 'root'> {
  const { root } = kit.workshop;
  if (root === undefined) return {};
  return {
    root: { suite: root.suite, packages: root.packages.map(({ name, version }) => ({ name, version })) },
  };
}

function newSymbols({ command, difference: { selection } }: PatchedUnit): Bundle['newSymbols'] {
  const old = new Set(selection.patched.map(f => f.atom));
  return selection.atoms
    .filter(atom => atom.name !== '' && !old.has(atom))
    .map(atom => ({
      name: atom.name,
      unit: command.source,
      kind: atom.kind === 'function' ? 'function' : 'data',
    }));
}

function reloadCautions(kernel: ShippedKernel, plan: LivepatchPlan): string[] {
  return modulesNotReloadable(kernel.kit.series, plan.references).map(
    gate => `module '${gate}' cannot be loaded again while this livepatch is loaded`,
  );
}
