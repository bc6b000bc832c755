/**
 * One process of the differ's benchmark: reads a kernel and the sample, then runs differ and extractor over units, and prints
 * one object of JSON. What it takes to read kernel and objects into memory is not part of any figure.
 *
 *   node bench/differ-child.ts tuned RELEASE objects|units PASSES INDEX…     times of each pass over the units of these indices
 *   node bench/differ-child.ts tuned RELEASE memory 1 INDEX…                 how much memory a build's differ needs for them
 */
import { readFile } from 'node:fs/promises';
import { x86_64 } from '@kstitch/arch/x86-64';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import { openKit } from '@kstitch/build/kit/kit';
import { tuneForWork } from '@kstitch/cli/engine';
import { detach } from '@kstitch/diff/detach';
import { diffObjects } from '@kstitch/diff/diff-objects';
import { diffUnit } from '@kstitch/diff/diff-unit';
import { extract } from '@kstitch/diff/extract';
import { LinkNames } from '@kstitch/diff/link-names';
import { type KernelSymbols, referenceByName } from '@kstitch/diff/references';
import type { Selection } from '@kstitch/diff/select/selection';
import { readElf } from '@kstitch/elf/read';
import { VMLINUX } from '@kstitch/livepatch/plan';
import { Refusal } from '@kstitch/report/diagnostic';
import { differSample, type SampleUnit } from './sample.ts';

/** Times in seconds. */
export interface Pass {
  readonly wall: number;
  readonly processor: number;
}

export interface DifferFigures {
  readonly passes: readonly Pass[];
  /** Of all objects that were read. */
  readonly bytes: number;
  readonly units: number;
  /** Units whose patch is refused, so that nothing was extracted. */
  readonly refused: number;
  readonly changedFunctions: number;
  /** Peak of the whole process, and what it had before the first unit. */
  readonly peakMiB: number;
  readonly groundMiB: number;
}

interface Objects {
  readonly unit: SampleUnit;
  readonly asShipped: Uint8Array;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly symbols: KernelSymbols;
}

const [engine = '', release = '', mode = '', passCount = '1', ...indices] = process.argv.slice(2);
const kit = await openKit(release);
const kernel = await loadKernel(kit);
const sample = await differSample(kit);
const all = [sample.largest, ...sample.drawn];
const chosen = indices.map(index => {
  const unit = all[Number(index)];
  if (unit === undefined) throw new RangeError(`the sample has no unit ${index}`);
  return unit;
});

if (engine === 'tuned') tuneForWork();
const figures = mode === 'memory' ? await measureMemory() : await measurePasses();
console.log(JSON.stringify(figures));

async function measurePasses(): Promise<DifferFigures> {
  const loaded: Objects[] = [];
  for (const unit of chosen) loaded.push(await load(unit));
  const groundMiB = rss();
  const passes: Pass[] = [];
  let refused = 0;
  let changedFunctions = 0;
  for (let i = 0; i < Number(passCount); i += 1) {
    refused = 0;
    changedFunctions = 0;
    const wall = performance.now();
    const { user, system } = process.cpuUsage();
    for (const objects of loaded) {
      const changed = mode === 'objects' ? compareObjects(objects) : extractUnit(objects)?.patched.length;
      if (changed === undefined) refused += 1;
      else changedFunctions += changed;
    }
    const used = process.cpuUsage();
    passes.push({
      wall: (performance.now() - wall) / 1000,
      processor: (used.user + used.system - user - system) / 1e6,
    });
  }
  const bytes = loaded.reduce(
    (sum, { asShipped, before, after }) =>
      sum + before.length + after.length + (mode === 'objects' ? 0 : asShipped.length),
    0,
  );
  return { passes, bytes, units: loaded.length, refused, changedFunctions, peakMiB: peak(), groundMiB };
}

/** As a build does: the objects of one unit at a time, of each no more is kept than what will be extracted. */
async function measureMemory(): Promise<DifferFigures> {
  const groundMiB = rss();
  const kept: Selection[] = [];
  let bytes = 0;
  let refused = 0;
  for (const unit of chosen) {
    const objects = await load(unit);
    bytes += objects.asShipped.length + objects.before.length + objects.after.length;
    const selection = extractUnit(objects);
    if (selection === undefined) refused += 1;
    else kept.push(detach(selection));
  }
  const changedFunctions = kept.reduce((sum, { patched }) => sum + patched.length, 0);
  return { passes: [], bytes, units: chosen.length, refused, changedFunctions, peakMiB: peak(), groundMiB };
}

async function load(unit: SampleUnit): Promise<Objects> {
  const [asShipped, before, after] = await Promise.all(
    [unit.asShipped, unit.before, unit.after].map(async path => await readFile(path)),
  );
  if (asShipped === undefined || before === undefined || after === undefined)
    throw new RangeError(unit.source);
  const { owner } = unit;
  const shipped = owner === VMLINUX ? kernel.vmlinux : await kernel.module(owner);
  return { unit, asShipped, before, after, symbols: kernel.symbolsFor(shipped) };
}

function compareObjects({ before, after }: Objects): number {
  return diffObjects(readElf(before, 'before'), readElf(after, 'after'), x86_64).difference.changed.length;
}

/** @returns what was extracted, or undefined where the patch is refused */
function extractUnit({ unit, asShipped, before, after, symbols }: Objects): Selection | undefined {
  try {
    const { selection } = diffUnit(
      {
        name: unit.source,
        asShipped: readElf(asShipped, 'as shipped'),
        before: readElf(before, 'before'),
        after: readElf(after, 'after'),
      },
      symbols,
      x86_64,
      kernel.entrySizes,
    );
    if (selection.atoms.length > 0) {
      extract(selection, {
        gate: unit.owner,
        linkNames: new LinkNames(name => kernel.world.symvers.has(name)),
        aliasOf: atom => `kstitch_new_${atom.id}`,
        staticCallKey: key => {
          const reference = referenceByName(kernel.symbolsFor(kernel.vmlinux), key, {});
          return 'code' in reference ? undefined : reference;
        },
      });
    }
    return selection;
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function rss(): number {
  return process.memoryUsage().rss / 2 ** 20;
}

function peak(): number {
  return process.resourceUsage().maxRSS / 1024;
}
