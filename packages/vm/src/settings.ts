/** Named limits and sizes of the virtual machines. */

/** What every machine has; the proof records it. */
export const machineSize = { cpus: 2, memoryMiB: 1024 } as const;

/** Size of the scratch disk a reproducer is handed, in MiB; the image is sparse. */
export const SCRATCH_DISK_MIB = 256;

/** Disk that carries the output of a single boot, in MiB; sparse as well. */
export const OUTPUT_DISK_MIB = 256;

/**
 * Seconds of wall time that a step may take under software emulation on a busy machine; several times what was measured.
 * A kernel that is stuck says nothing, so each of these is what somebody waits in vain at worst.
 */
export const limits = {
  /** From starting QEMU to process 1: 3 to 40 s were measured. */
  boot: 180,
  /** Modules of the kernel, disks. */
  init: 60,
  /** Loading: Linux 6.1 takes 50 ms for each klp relocation. */
  load: 300,
  /** A transition, as the guest measures it. */
  transition: 60,
  /** What the machine has beyond a limit that the guest itself watches, to say how it ended. */
  grace: 20,
  /** Between the first words of a crash, or the last of a run, and the end of QEMU. */
  ending: 20,
  /** Everything else: unmounting, disabling, removing. */
  other: 60,
} as const;

/** In bytes; more than any kernel says in such a time, unless it says the same for ever. */
export const MAX_LOG_BYTES = 32 * 1024 * 1024;

/** In characters, of what the guest's scripts print. */
export const MAX_GUEST_LINE = 4096;
