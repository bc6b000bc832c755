import { loadCompileDatabase } from '@kstitch/build/compile/compile-database';
import { openKit } from '@kstitch/build/kit/kit';
import { sampleUnits, type VerifyRequest, verifyKernel } from '@kstitch/build/verify-kernel';
import type { Context } from '@kstitch/report/context';
import type { Placement } from './kernel-result.ts';

/** Compiles a sample of the kernel's units as Debian did and looks for each in the shipped kernel. */
export async function placeSample(
  context: Context,
  release: string,
  request: VerifyRequest,
): Promise<Placement> {
  const found = await verifyKernel(context, release, request);
  const drawn = sampleUnits(await loadCompileDatabase(await openKit(release)), request);
  const failures = found.failures.map(({ unit, object, findings }) => ({
    unit,
    object,
    codes: [...new Set(findings.map(({ code }) => code))],
    text: findings[0]?.text ?? '',
  }));
  // A unit that belongs to several modules is looked for in each; one that fails anywhere is not placed.
  const failed = new Set(failures.map(({ unit }) => unit));
  return {
    seed: request.seed,
    units: drawn.length,
    builtIn: drawn.filter(({ owner }) => owner === 'vmlinux').length,
    placed: drawn.filter(({ source }) => !failed.has(source)).length,
    functions: found.functions,
    relocations: found.relocations,
    failures,
  };
}
