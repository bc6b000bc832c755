/** A process that compares units with themselves, one after the other, on a kernel that it reads once. */
import { readGround } from '@kstitch/build/build-livepatch';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { mulberry32 } from '@kstitch/build/verify-kernel';
import { silentContext } from '@kstitch/report/context';
import { compareWithItself, type SelfDifference } from '@kstitch/testkit/self-diff';

export interface SelfDiffJob {
  readonly source: string;
  readonly object: string;
  /** Decides where lines are put in. */
  readonly seed: number;
}

/** One unit's result, as it is kept. */
export interface SelfDiffAnswer extends Omit<SelfDifference, 'outcome'> {
  readonly object: string;
  /** `error`: kstitch itself failed. */
  readonly outcome: SelfDifference['outcome'] | 'error';
  /** Wall time with compiling. */
  readonly seconds: number;
}

const [, , release = ''] = process.argv;
const context = silentContext();
const ground = await readGround(context, release);
const toolchain = await checkCompiler(context, ground.kernel.kit.workshop, ground.kernel.banner);

process.on('message', (job: SelfDiffJob) => {
  void answer(job).then(result => process.send?.(result));
});
// Whoever started this process is gone.
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function answer({ source, object, seed }: SelfDiffJob): Promise<SelfDiffAnswer> {
  const began = performance.now();
  const seconds = () => Math.round(performance.now() - began) / 1000;
  try {
    const unit = ground.database.unitsFrom(source).find(each => each.object === object);
    if (unit === undefined) throw new RangeError(`There is no unit '${object}'`);
    const difference = await compareWithItself(context, ground, toolchain, unit, mulberry32(seed));
    return { object, ...difference, seconds: seconds() };
  } catch (error) {
    const findings = String(error instanceof Error ? error.stack : error).split('\n');
    return { object, outcome: 'error', findings, functions: 0, sameBytes: false, seconds: seconds() };
  }
}
