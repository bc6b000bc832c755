/**
 * Whether the processor can run the guest's instructions itself. /dev/kvm may be there and not work, on a build machine that is
 * a virtual machine itself: QEMU aborts, or the guest hangs before its first word. So this is tried, with the kernel in question.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { withTemporaryDirectory } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { readBusybox } from './busybox.ts';
import { guestScript } from './initramfs.ts';
import type { Accelerator } from './qemu.ts';
import { runMachine } from './run-machine.ts';

/** Seconds. A boot on a processor takes two; more than this and emulation is as fast. */
const PROBE_LIMIT = 20;

/**
 * Results of this process, by kernel. Nothing is kept across runs: what worked before the machine's own kernel was
 * updated may hang now, and the other way round.
 */
const known = new Map<string, Promise<Accelerator>>();

/**
 * @param vmlinuz - path of the kernel that is going to be booted
 * @returns `kvm` when this kernel was seen to boot with it, else `tcg`
 * @throws KstitchError - `vm-qemu-missing`, `vm-busybox-missing`, `interrupted`
 */
export function findAccelerator(context: Context, vmlinuz: string): Promise<Accelerator> {
  const earlier = known.get(vmlinuz);
  if (earlier !== undefined) return earlier;
  const probing = probe(context, vmlinuz);
  known.set(vmlinuz, probing);
  // An interrupted probe says nothing.
  probing.catch(() => known.delete(vmlinuz));
  return probing;
}

async function probe(context: Context, vmlinuz: string): Promise<Accelerator> {
  try {
    // eslint-disable-next-line no-bitwise -- access modes are bits
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  return context.progress.step('try /dev/kvm', () =>
    withTemporaryDirectory('probe', async directory => {
      try {
        const { ending } = await runMachine(context, {
          accelerator: 'kvm',
          vmlinuz,
          initramfs: {
            busybox: await readBusybox(),
            modules: [],
            main: guestScript('probe.sh'),
            settings: {},
            files: [],
          },
          disks: [],
          directory,
          name: 'a trial with /dev/kvm',
          bootLimit: PROBE_LIMIT,
          limitOf: () => PROBE_LIMIT,
        });
        return ending.kind === 'finished' ? 'kvm' : 'tcg';
      } catch (error) {
        const failed =
          error instanceof KstitchError && (error.code === 'vm-boot-failed' || error.code === 'vm-qemu-died');
        if (!failed) throw error;
        context.progress.note(
          '/dev/kvm is there and does not work: the processor is emulated, which is slower',
        );
        return 'tcg';
      }
    }),
  );
}
