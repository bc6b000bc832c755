import type { CallbackKind } from '@kstitch/kernel/klp-callbacks';

/**
 * What the link step produced, and what post-link has to make of it: the hand-over from the stages that know units and
 * functions to those that know the module's format.
 */
export interface LivepatchPlan {
  /** The module's name, as the kernel will know it: `kstitch_ext4_mballoc_1a2b3c4d`. */
  readonly moduleName: string;
  /** Every object that functions are patched in, or that has callbacks, each once. */
  readonly objects: readonly PatchedObject[];
  /** Every system state that the livepatch changes, each once. */
  readonly states: readonly SystemState[];
  /** Every weak undefined symbol of the extracted objects, each once. */
  readonly references: readonly KlpReference[];
}

/** `struct klp_object`: the kernel image or one module. */
export interface PatchedObject {
  /** `vmlinux`, or the module's name as `/proc/modules` shows it (`_`, never `-`). */
  readonly name: string;
  readonly functions: readonly PatchedFunction[];
  /** At most one of each kind. */
  readonly callbacks: readonly ObjectCallback[];
}

/** One member of `struct klp_callbacks`: what livepatch calls while it patches or unpatches the object. */
export interface ObjectCallback {
  readonly kind: CallbackKind;
  /** The name of the LOCAL function symbol in the linked object. */
  readonly name: string;
  /** Where it comes from, as a path below the kernel source. */
  readonly unit: string;
  /** The global alias, in the linked object, of that symbol: `kstitch_new_<n>`; the same for callbacks that are one function. */
  readonly newSymbol: string;
}

/** `struct klp_state`: the contract between livepatches that change one thing outside of the code they replace. */
export interface SystemState {
  /** 1 to {@link MAX_STATE_NUMBER}. */
  readonly id: number;
  /** 0 to {@link MAX_STATE_NUMBER}. */
  readonly version: number;
  /** Where it was asked for, as a path below the kernel source. */
  readonly unit: string;
}

/** `unsigned int` is what the kernel has for versions; kstitch.h lets ids be no greater. */
export const MAX_STATE_NUMBER = 0xffff_ffff;

/** `struct klp_func`: one function of the running kernel and what replaces it. */
export interface PatchedFunction {
  /** The name in the kernel, and of the LOCAL function symbol that replaces it in the linked object. */
  readonly oldName: string;
  /** 1-based rank among the symbols of that name in the object; 0 when it is the only one. */
  readonly oldSympos: number;
  /** Where it comes from, as a path below the kernel source: `fs/ext4/mballoc.c`. */
  readonly unit: string;
  /** The global alias, in the linked object, of the LOCAL function symbol: `kstitch_new_<n>`. */
  readonly newSymbol: string;
}

/** A symbol of the running kernel that livepatch resolves by name, since the kernel does not export it. */
export interface KlpReference {
  /** The weak undefined symbol in the extracted objects. */
  readonly linkName: string;
  /** Where the kernel looks it up: `vmlinux` or a module. */
  readonly object: string;
  /** Its name there. */
  readonly name: string;
  /** 1-based rank among the symbols of that name in the object; 0 when it is the only one. */
  readonly sympos: number;
  /** The object whose load applies the relocation: `vmlinux` or the patched module. */
  readonly gate: string;
}

/** What the kernel calls its own image where others have a module's name. */
export const VMLINUX = 'vmlinux';

/** @returns whether `name` is an alias that the extracted objects give a patched function or a callback */
export function isNewFunctionAlias(name: string): boolean {
  return /^kstitch_new_\d+$/.test(name);
}
