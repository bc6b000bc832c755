import { createHash } from 'node:crypto';
import { type Bundle, patchesOf } from '@kstitch/livepatch/bundle';
import { type Diagnostic, diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { maxPatchSize, type PatchText } from './parse-patch.ts';

/**
 * A livepatch replaces all earlier ones, so it has to contain them: their patches come first, in the order of the bundles.
 *
 * @param kernel - that is built for
 * @param bundles - of the livepatches that the new one contains
 * @param patches - the new ones
 * @returns all patches in the order of applying
 * @throws Refusal - `bundle-other-kernel`, `patch-twice`, all of them together
 * @throws KstitchError - `patch-too-large`
 */
export function withEarlierPatches(
  kernel: Bundle['kernel'],
  bundles: readonly Bundle[],
  patches: readonly PatchText[],
): readonly PatchText[] {
  const findings: Diagnostic[] = [];
  for (const bundle of bundles) {
    if (isSameKernel(bundle.kernel, kernel)) continue;
    const text = `build on '${bundle.module}': it is for ${describe(bundle.kernel)}, not for ${describe(kernel)}`;
    findings.push(diagnostic('bundle-other-kernel', { object: bundle.module }, text));
  }
  const all = [
    ...bundles.flatMap(bundle => patchesOf(bundle).map(patch => ({ patch, from: bundle.module }))),
    ...patches.map(patch => ({ patch, from: undefined })),
  ];
  const seen = new Map<string, string | undefined>();
  for (const { patch, from } of all) {
    const key = createHash('sha256').update(patch.bytes).digest('hex');
    if (seen.has(key)) {
      const where = seen.get(key);
      const text =
        where === undefined
          ? `'${patch.name}' is given twice`
          : `'${patch.name}'${from === undefined ? '' : ` of '${from}'`} is part of '${where}' already`;
      findings.push(diagnostic('patch-twice', { file: patch.name }, text));
    } else seen.set(key, from);
  }
  stopOnRefusals(findings);

  const size = all.reduce((total, { patch }) => total + patch.bytes.length, 0);
  if (size > maxPatchSize) {
    throw new KstitchError(
      'patch-too-large',
      `put ${all.length} patches together: ${size} bytes are more than the limit of ${maxPatchSize}`,
    );
  }
  return all.map(({ patch }) => patch);
}

function isSameKernel(a: Bundle['kernel'], b: Bundle['kernel']): boolean {
  return a.release === b.release && a.packageVersion === b.packageVersion && a.buildId === b.buildId;
}

function describe({ release, packageVersion }: Bundle['kernel']): string {
  return `${release} (${packageVersion})`;
}
