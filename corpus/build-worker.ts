/** A process that builds livepatches of single files, one after the other, on a kernel that it reads once. */
import { basename } from 'node:path';
import { buildOn, readGround } from '@kstitch/build/build-livepatch';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { MAX_SLUG_LENGTH } from '@kstitch/livepatch/module-name';
import { type Context, silentContext } from '@kstitch/report/context';
import { type Classification, classifyBuilt, classifyFailure } from './classify.ts';
import type { FileDifference } from './differing-files.ts';
import type { FileResult, Finding } from './file-result.ts';
import { compareUnits, doubtLivepatch, doubtNoDifference } from './second-opinion.ts';

/** What the worker sends for each difference it is sent. */
export type WorkerAnswer = Omit<FileResult, 'kstitch'>;

const [, , release = '', outputDirectory = ''] = process.argv;
const ground = await readGround(silentContext(), release);

process.on('message', (difference: FileDifference) => {
  void build(difference).then(answer => process.send?.(answer));
});
// Whoever started this process is gone.
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function build(difference: FileDifference): Promise<WorkerAnswer> {
  const { file, patch } = difference;
  const steps: Record<string, number> = {};
  const began = performance.now();
  let bundle: Bundle | undefined;
  let classification: Classification;
  try {
    const result = await buildOn(timingContext(steps), ground, {
      patches: [{ name: `${basename(file)}.patch`, bytes: Buffer.from(patch, 'latin1') }],
      name: basename(file, '.c').slice(0, MAX_SLUG_LENGTH),
      outputDirectory,
    });
    bundle = result.bundle;
    classification = classifyBuilt(result);
  } catch (error) {
    classification = classifyFailure(error);
  }
  const seconds = round(performance.now() - began);
  return { file, ...(await doubt(difference, classification, bundle)), seconds, steps };
}

/** A result that the second opinion does not share is an error, whichever of the two is wrong. */
async function doubt(
  difference: FileDifference,
  classification: Classification,
  bundle: Bundle | undefined,
): Promise<Classification> {
  const { outcome } = classification;
  if (outcome !== 'built' && outcome !== 'no difference') return classification;
  try {
    const seen = await compareUnits(ground, difference);
    const findings: readonly Finding[] =
      bundle === undefined ? doubtNoDifference(seen) : doubtLivepatch(functionsOf(bundle), seen);
    const [first] = findings;
    return first === undefined
      ? classification
      : { ...classification, outcome: 'error', code: first.code, findings };
  } catch (error) {
    return classifyFailure(error);
  }
}

function functionsOf({ objects, newSymbols }: Bundle): Parameters<typeof doubtLivepatch>[0] {
  return {
    // The oracle has seen that those which only call a changed one have to be there.
    patched: objects.flatMap(object => object.functions.filter(f => f.why !== 'calls').map(f => f.name)),
    added: newSymbols.map(symbol => symbol.name),
  };
}

/** Adds up the wall time of steps of one kind: what is in the label beside the unit's name. */
function timingContext(steps: Record<string, number>): Context {
  return {
    ...silentContext(),
    progress: {
      note: () => {},
      step: async (label, work) => {
        const kind = label.replace(/^compile \S+/, 'compile');
        const began = performance.now();
        try {
          return await work(() => {});
        } finally {
          steps[kind] = (steps[kind] ?? 0) + round(performance.now() - began);
        }
      },
    },
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds) / 1000;
}
