/**
 * The last look at a livepatch before it is handed out: everything that the kernel would refuse or, worse, not notice,
 * held against the kernel it is for, loaded modules and others alike. A mistake in a part for a module that is not
 * loaded would show only when somebody loads that module, and would then refuse the module.
 */
import { readElf } from '@kstitch/elf/read';
import { compareDiagnostics, type Diagnostic } from '@kstitch/report/diagnostic';
import { checkCode, returnThunk } from './check-code.ts';
import { checkModule } from './check-module.ts';
import { checkPatch } from './check-patch.ts';
import { checkRelocations } from './check-relocations.ts';
import type { KernelWorld } from './kernel-world.ts';
import type { LivepatchPlan } from './plan.ts';
import { readRelocatedModule } from './relocated-module.ts';

/**
 * @param ko - the livepatch module, after post-link, unsigned
 * @param plan - what it was made from
 * @returns what is wrong with it, sorted; empty when nothing is
 * @throws KstitchError - when it cannot be read as a module at all
 */
export function checkLivepatch(ko: Uint8Array, plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  const module = readRelocatedModule(readElf(ko, `${plan.moduleName}.ko`));
  return [
    // Would the kernel take the module?
    ...checkModule(module.file, plan, world),
    ...checkRelocations(module),
    // Would livepatch find what it is to patch and what the new code refers to?
    ...checkPatch(module, plan, world),
    // Would the new code behave like the kernel's own?
    ...checkCode(module, {
      returnThunks: world.symvers.has(returnThunk),
      jumpEntry: world.layout.jumpEntry,
    }),
  ].toSorted(compareDiagnostics);
}
