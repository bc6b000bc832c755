import { VMLINUX } from './plan.ts';

/**
 * Before 6.3 nothing clears klp relocations when a patched module goes (arch/x86/kernel/module.c: clear_relocate_add()). Loaded
 * again while the livepatch stays, the module is refused: "Skipping invalid relocation target, existing value is nonzero".
 *
 * @param release - of the kernel: `6.1.0-55-cloud-amd64`, or its series, `6.1`
 * @param references - what the livepatch looks up in the running kernel
 * @returns names of the modules that cannot be loaded again while the livepatch is active, sorted
 */
export function modulesNotReloadable(
  release: string,
  references: readonly { readonly gate: string; readonly object: string }[],
): string[] {
  const [major = 0, minor = 0] = release.split('.').map(Number.parseFloat);
  if (major > 6 || (major === 6 && minor >= 3)) return [];
  // A symbol of vmlinux is looked up when the livepatch itself is loaded, whatever it is needed for.
  const gates = references.filter(r => r.gate !== VMLINUX && r.object !== VMLINUX).map(r => r.gate);
  return [...new Set(gates)].toSorted();
}
