/**
 * Lengths in bytes that the kernel allows, without the NUL (include/linux/moduleparam.h: MODULE_NAME_LEN is 56,
 * include/linux/kallsyms.h: KSYM_NAME_LEN is 512; kernel/livepatch/core.c parses klp symbols with the same widths).
 */
export const kernelLimits = {
  moduleName: 55,
  symbolName: 511,
} as const;
