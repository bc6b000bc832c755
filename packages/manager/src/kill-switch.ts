import type { Machine } from './machine.ts';

/** While something of that name is there, whatever it is, nothing is loaded at boot. */
const switchFolder = '/etc';
const switchName = 'kstitch.off';
const switchWord = 'kstitch=off';

/** @returns what keeps livepatches from being loaded at boot, in words; undefined when nothing does */
export function readKillSwitch(machine: Machine): string | undefined {
  const words = (machine.read('/proc/cmdline') ?? '').split(/\s+/);
  if (words.includes(switchWord)) return `the kernel argument '${switchWord}'`;
  const found = machine.list(switchFolder)?.includes(switchName) === true;
  return found ? `the file '${switchFolder}/${switchName}'` : undefined;
}
