import { buildIdIn } from '@kstitch/elf/notes';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

/** Which kernel runs, and which of its boots this is. */
export interface KernelIdentity {
  /** As `uname -r` prints it. */
  readonly release: string;
  /** Lower-case hex; empty when it has none. */
  readonly buildId: string;
  /** New at every boot. */
  readonly bootId: string;
  /** Seconds since boot. */
  readonly uptime: number;
}

const mounts = [
  ['/proc/sys/kernel', '/proc', 'proc'],
  ['/sys/kernel', '/sys', 'sysfs'],
] as const;

/** @throws KstitchError - `machine-unreadable`: also where /proc or /sys is not mounted, and nothing would look like being well */
export function readKernelIdentity(machine: Machine): KernelIdentity {
  for (const [folder, mount, type] of mounts)
    if (machine.list(folder) === undefined)
      throw new KstitchError(
        'machine-unreadable',
        `read '${folder}': it is not there; '${mount}' is not mounted`,
        { help: `mount it: mount -t ${type} ${type} ${mount}` },
      );
  // include/linux/buildid.h: the notes of vmlinux as they lie in memory.
  const notes = machine.readBytes('/sys/kernel/notes', limits.notes);
  return {
    release: machine.read('/proc/sys/kernel/osrelease') ?? '',
    buildId: notes === undefined ? '' : (buildIdIn(notes, 'little', '/sys/kernel/notes') ?? ''),
    bootId: machine.read('/proc/sys/kernel/random/boot_id') ?? '',
    uptime: readUptime(machine),
  };
}

/** @returns seconds since boot */
export function readUptime(machine: Machine): number {
  return Number(machine.read('/proc/uptime')?.split(' ', 1)[0] ?? 0);
}
