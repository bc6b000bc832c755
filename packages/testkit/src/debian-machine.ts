/**
 * Boots of a Debian whose disk is kept: the stock kernel, systemd as process 1, a script that runs when it has booted, and a
 * restart in good order at the end. Beside Debian's disk there is one with the files of the trial, at /trial.
 */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import { findAccelerator } from '@kstitch/vm/accelerator';
import { readBusybox } from '@kstitch/vm/busybox';
import { makeEmptyDisk } from '@kstitch/vm/disk';
import { numberIn } from '@kstitch/vm/guest-channel';
import { guestScript } from '@kstitch/vm/initramfs';
import { readKernelModules } from '@kstitch/vm/kernel-modules';
import { diskName, endingText, type MachineRun, runMachine } from '@kstitch/vm/run-machine';
import { limits } from '@kstitch/vm/settings';
import { copyDebianImage } from './debian-image.ts';
import { testKit } from './kit.ts';

/** Of what a script prints. */
const outputMebibytes = 16;

/** Seconds of wall time, emulated on a busy machine: until the script, and from its end to that of the machine. */
const bootSeconds = 600;
const shutdownSeconds = 300;

/** The functions by which init.sh speaks to kstitch, for a script that runs long after it. */
function channelFunctions(): string {
  const text = guestScript('init.sh');
  const [begin, end] = [text.indexOf('# emit KIND'), text.indexOf('# finish:')];
  if (begin < 0 || end < begin)
    throw new Error('init.sh no longer has its functions where they are looked for');
  return text.slice(begin, end);
}

/**
 * Process 1 until Debian's own takes over. What is put under /run is there for one boot, and Debian's disk is left as it is:
 * systemd keeps a /run that is mounted already, and looks for units there (systemd.unit(5)).
 */
const handOver = `
step systemd
mount -t ext4 -o noatime "$ROOT" /mnt || { emit "unusable Debian's disk cannot be mounted"; finish; }
mount -t tmpfs -o mode=755 run /mnt/run
units=/mnt/run/systemd/system
mkdir -p /mnt/trial /mnt/run/kstitch-trial $units/multi-user.target.wants
mount -t ext4 -o ro "$FILES" /mnt/trial || { emit "unusable the disk of files cannot be mounted"; finish; }
cp /kstitch/settings /kstitch/trial /kstitch/script /mnt/run/kstitch-trial/
cp /kstitch/kstitch-trial.service $units/
ln -s ../kstitch-trial.service $units/multi-user.target.wants/
umount /tmp
for folder in dev sys proc; do mount --move /$folder /mnt/$folder; done
exec switch_root /mnt /lib/systemd/systemd </dev/null >/dev/null 2>&1 9>&-
`;

/** The boot does not wait for it. */
const unit = `[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh /run/kstitch-trial/trial
`;

const trial = `
exec </dev/null 9>/dev/ttyS1
stty -F /dev/ttyS1 raw -opost -echo
exec 2>&9
. /run/kstitch-trial/settings
${channelFunctions()}
export HOME=/root
cd /root
step script
sh /run/kstitch-trial/script 9>&- >/run/kstitch-trial/output
status=$?
step output
dd if=/run/kstitch-trial/output of="$OUTPUT" bs=1M conv=fsync 2>/run/kstitch-trial/dd
emit "output status=$status bytes=$(stat -c %s /run/kstitch-trial/output)"
step restart
systemctl --no-block reboot
`;

/** Words of the kernel's command line: ttyS0 is for the kernel's log; systemd says there no more than how it begins and ends. */
const quietly = ['systemd.show_status=false', 'systemd.getty_auto=false', 'systemd.log_target=journal'];

export interface DebianBoot {
  /** The script's; undefined when the kernel crashed before it had ended. */
  readonly status: number | undefined;
  /** Standard output of the script. */
  readonly output: Uint8Array;
  readonly log: string;
  readonly splats: MachineRun['splats'];
  readonly ending: MachineRun['ending'];
}

export interface DebianMachine {
  /**
   * One boot.
   *
   * @param script - read by Debian's sh as root
   * @param commandLine - further words for the kernel
   * @throws Error - with the log, when the machine neither came to its end nor crashed
   */
  boot(script: string, timeoutSeconds: number, commandLine?: readonly string[]): Promise<DebianBoot>;
}

/**
 * @param directory - an empty folder, for its disks
 * @param files - by their paths below /trial
 */
export async function makeDebianMachine(
  directory: string,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<DebianMachine> {
  const context = silentContext();
  const { kit } = await testKit();
  const [root, trialFiles, output] = ['root.img', 'files.img', 'output.img'].map(name =>
    join(directory, name),
  ) as [string, string, string];
  await copyDebianImage(context, kit.release, root);
  await makeFilesDisk(trialFiles, files);
  const accelerator = await findAccelerator(context, kit.paths.vmlinuz);
  const modules = await readKernelModules(context, kit.paths.modulesDirectory, {
    required: ['virtio_pci', 'virtio_blk'],
    optional: [],
  });
  let boots = 0;
  return {
    boot: async (script, timeoutSeconds, commandLine = []) => {
      boots += 1;
      await makeEmptyDisk(`${output}.${boots}`, outputMebibytes);
      const text = (path: string, content: string) => ({
        path: `/kstitch/${path}`,
        bytes: Buffer.from(content),
      });
      const machine = await runMachine(context, {
        accelerator,
        vmlinuz: kit.paths.vmlinuz,
        initramfs: {
          busybox: await readBusybox(),
          modules,
          main: handOver,
          settings: { OUTPUT: diskName(0), ROOT: diskName(1), FILES: diskName(2) },
          files: [text('script', script), text('trial', trial), text('kstitch-trial.service', unit)],
        },
        disks: [
          { path: `${output}.${boots}`, writes: 'keep' },
          { path: root, writes: 'keep' },
          { path: trialFiles, writes: 'discard' },
        ],
        commandLine: [...quietly, ...commandLine],
        directory,
        name: `boot ${boots}`,
        logPath: join(directory, `boot-${boots}.log`),
        limitOf: step =>
          ({ systemd: bootSeconds, script: timeoutSeconds, restart: shutdownSeconds })[step] ?? limits.other,
      });
      const { ending, step, frames, splats, log } = machine;
      const asked = ending.kind === 'restarted' && step === 'restart';
      if (!asked && ending.kind !== 'crashed')
        throw new Error(`boot ${boots}: ${endingText(ending)} at step ${step}\n${log}`);
      const result = frames.find(({ kind }) => kind === 'output');
      return {
        status: numberIn(result, 'status'),
        output: await readStart(`${output}.${boots}`, numberIn(result, 'bytes') ?? 0),
        log,
        splats,
        ending,
      };
    },
  };
}

async function makeFilesDisk(image: string, files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const folder = `${image}.d`;
  let bytes = 0;
  for (const [path, content] of Object.entries(files)) {
    bytes += content.length;
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  const mebibytes = Math.ceil((bytes / 1024 / 1024) * 1.2) + 16;
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', folder, image, `${mebibytes}M`], {
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
}

async function readStart(path: string, length: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, 0);
    return buffer;
  } finally {
    await file.close();
  }
}
