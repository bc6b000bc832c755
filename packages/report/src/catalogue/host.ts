import type { CatalogueEntry } from './entry.ts';

export const hostCodes = {
  'host-tool-missing': {
    kind: 'error',
    meaning: 'A program that kstitch calls is not installed.',
    help: 'install the package named above',
    example: "run 'qemu-system-x86_64': the program is not installed",
  },
  'host-tool-failed': {
    kind: 'error',
    meaning: 'A program that kstitch calls ended with an error; its own last words stand below the message.',
    help: "read the tool's own words above; they name what it could not do",
    example: "run 'dpkg-deb --fsys-tarfile image.deb': it ended with status 2",
  },
  'host-tool-output': {
    kind: 'error',
    meaning:
      'A program that kstitch calls wrote more than it ever should; it was ended so as not to fill the memory.',
    help: 'run the command by hand and look at what it writes',
    example: "run 'readelf -W -a vmlinux': it wrote more than 64 MiB",
  },
  'host-disk-full': {
    kind: 'error',
    meaning: 'The disk is full, or the quota used up. Nothing half-written was left behind.',
    help: 'free some space (a kernel kit takes about 2 GiB), or set KSTITCH_CACHE to a folder on a larger disk',
    example: "write '/root/.cache/kstitch/kits/6.1.0-55-cloud-amd64': no space left on device",
  },
  'host-file-failed': {
    kind: 'error',
    meaning: 'A file or folder could not be read or written, for a reason that the system names.',
    help: 'check that the path exists and that you may write there',
    example: "write '/srv/out/patch.ko': permission denied (EACCES)",
  },
  'host-lock-failed': {
    kind: 'error',
    meaning: 'The lock that keeps two kstitch from preparing the same thing at once could not be taken.',
    help: 'check that the cache folder is writable and on a file system that knows flock(2)',
    example: "lock 'kit 6.1.0-55-cloud-amd64': flock: Permission denied",
  },
  'host-cache-relative': {
    kind: 'usage',
    meaning:
      'KSTITCH_CACHE holds a path that is not absolute; what it names would depend on the current folder.',
    help: 'give an absolute path, or unset KSTITCH_CACHE to use ~/.cache/kstitch',
    example: "read KSTITCH_CACHE: 'cache' is not an absolute path",
  },
  'host-state-relative': {
    kind: 'usage',
    meaning:
      'KSTITCH_STATE holds a path that is not absolute; what it names would depend on the current folder.',
    help: 'give an absolute path, or unset KSTITCH_STATE to use /var/lib/kstitch',
    example: "read KSTITCH_STATE: 'state' is not an absolute path",
  },
  'host-packages-missing': {
    kind: 'error',
    meaning:
      'Debian packages that kstitch needs are not installed, and it may not install them by itself here.',
    help: 'run the apt line above as root, or run kstitch as root with --yes',
    example: "find what building needs: 'flex', 'bison' are not installed",
  },
  'host-packages-declined': {
    kind: 'error',
    meaning: 'kstitch asked whether it may install the packages it needs, and the answer was no.',
    help: 'install them yourself with the apt line above, then run the same command again',
    example: "install 'flex', 'bison': declined",
  },
  'host-packages-failed': {
    kind: 'error',
    meaning: "apt could not install the packages kstitch needs; apt's own words stand below the message.",
    help: 'run the apt line above yourself and see what apt says',
    example: "install 'flex', 'bison': apt-get ended with status 100",
  },
} as const satisfies Record<string, CatalogueEntry>;
