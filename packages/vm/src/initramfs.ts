/**
 * The virtual machine's whole user land: busybox, our /init, the kernel's own modules and the files of one run.
 *
 * ```
 * init                 guest/init.sh, process 1
 * bin/busybox          its applets are linked beside it by /init
 * kstitch/settings     shell variables of this run
 * kstitch/main         what /init runs once everything is mounted
 * kstitch/modules/NN-NAME.ko   in the order of loading
 * ```
 */
import { readAsset } from '@kstitch/host/asset';
import { type CpioEntry, directoriesFor, writeCpio } from './cpio.ts';
import type { KernelModule } from './kernel-modules.ts';

export interface GuestFile {
  /** Absolute path in the guest. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Permissions, default 0o644. */
  readonly mode?: number;
}

export interface InitramfsParts {
  readonly busybox: Uint8Array;
  /** In the order of loading. */
  readonly modules: readonly KernelModule[];
  /** Shell script that /init reads last; it ends by calling `finish`. */
  readonly main: string;
  /** Shell variables that init and main see, not exported. */
  readonly settings: Readonly<Record<string, string | number>>;
  readonly files: readonly GuestFile[];
}

/** @returns an uncompressed archive: it has about 2 MiB, and unpacking takes emulated time */
export function buildInitramfs(parts: InitramfsParts): Uint8Array {
  const text = (path: string, content: string, mode: number): CpioEntry => ({
    kind: 'file',
    path,
    mode,
    bytes: Buffer.from(content),
  });
  const files: CpioEntry[] = [
    text('init', guestScript('init.sh'), 0o755),
    { kind: 'file', path: 'bin/busybox', mode: 0o755, bytes: parts.busybox },
    text('kstitch/settings', formatSettings(parts.settings), 0o600),
    text('kstitch/main', parts.main, 0o600),
    ...parts.modules.map(
      ({ name, bytes }, index): CpioEntry => ({
        kind: 'file',
        path: `kstitch/modules/${String(index).padStart(2, '0')}-${name}.ko`,
        bytes,
      }),
    ),
    ...parts.files.map(
      ({ path, bytes, mode }): CpioEntry => ({
        kind: 'file',
        path: path.replace(/^\/+/, ''),
        bytes,
        mode: mode ?? 0o644,
      }),
    ),
  ];
  const mountPoints = ['proc', 'sys', 'dev', 'tmp', 'mnt', 'root', 'kstitch/modules'].map(
    path => `${path}/.`,
  );
  return writeCpio([
    ...directoriesFor([...mountPoints, ...files.map(({ path }) => path)]),
    // The kernel opens /dev/console for process 1 before anything is mounted.
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'character-device', path: 'dev/null', mode: 0o666, major: 1, minor: 3 },
    { kind: 'character-device', path: 'dev/kmsg', mode: 0o644, major: 1, minor: 11 },
    { kind: 'symlink', path: 'bin/sh', target: 'busybox' },
    ...files,
  ]);
}

/** @returns the text of one of the shell scripts in guest/ */
export function guestScript(name: 'init.sh' | 'prove.sh' | 'once.sh' | 'probe.sh'): string {
  return readAsset(new URL(`guest/${name}`, import.meta.url));
}

/** @returns lines `NAME='value'`, quoted for a POSIX shell */
export function formatSettings(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new RangeError(`'${name}' is not a shell variable`);
      return `${name}='${String(value).replaceAll("'", String.raw`'\''`)}'\n`;
    })
    .join('');
}
