import type { CatalogueEntry } from './entry.ts';

export const kitCodes = {
  'kit-absent': {
    kind: 'error',
    meaning: 'The kernel kit of this release has not been fetched yet.',
    help: 'fetch it: kstitch kernel fetch RELEASE',
    example: "open the kernel kit of '6.1.0-55-cloud-amd64': it has not been fetched",
  },
  'kit-damaged': {
    kind: 'error',
    meaning: 'The manifest of a kernel kit in the cache cannot be read, or names files that are not there.',
    help: 'remove the folder named above and fetch the kit again',
    example: "open the kernel kit of '6.1.0-55-cloud-amd64': 'vmlinux' is missing",
  },
  'kit-release-unknown': {
    kind: 'error',
    meaning:
      'The package archives that apt is configured for offer no kernel of this release, and never did.',
    help: 'take a release as uname -r prints it; kstitch kernel list --available shows those that the archive offers',
    example: "find the kernel '6.1.0-5-cloud-amd64': no package 'linux-image-6.1.0-5-cloud-amd64' is offered",
  },
  'kit-flavour-unsupported': {
    kind: 'error',
    meaning:
      'The real-time flavours are built with patches that only a Debian source package has (debian/patches-rt), and for this kernel there is no telling which.',
    help: 'use a kernel of the ordinary or the cloud flavour',
    example:
      "find the kernel '6.6.0-1-rt-amd64': it is built with real-time patches, and its name does not tell which Debian release has them",
  },
  'kit-package-gone': {
    kind: 'error',
    meaning:
      'The archive still has the kernel image, but not the headers or the source of exactly that version; near versions do not do.',
    help: 'give a snapshot archive that has it: kstitch kernel fetch RELEASE --snapshot ADDRESS/TIMESTAMP',
    example: "find 'linux-source-6.1' of version '6.1.192-1': the archive has '6.1.192-2', '6.1.190-1'",
  },
  'kit-snapshot-unreachable': {
    kind: 'error',
    meaning:
      'The configured archives no longer have this kernel, and the snapshot archive that keeps old versions did not answer.',
    help: 'check the network, or name another snapshot archive with --snapshot ADDRESS/TIMESTAMP',
    example: "ask the snapshot archive 'https://snapshot.debian.org/archive/debian-security/': fetch failed",
  },
  'kit-lists-failed': {
    kind: 'error',
    meaning: 'apt could not fetch the lists of packages, and there are no earlier ones in the cache.',
    help: "check the network and the machine's apt sources: apt-get update should work",
    example: 'fetch the package lists: apt-get ended with status 100',
  },
  'kit-lists-old': {
    kind: 'caution',
    meaning: 'apt could not fetch all lists of packages; those fetched earlier were used.',
    help: 'check the network when a version is missing that should be there',
    example: 'the package lists could not be brought up to date; earlier ones are used',
  },
  'kit-package-undescribed': {
    kind: 'error',
    meaning:
      'apt needs a package, and the index of its archive does not tell the version, size and SHA-256 of it. Without the package the compiler would be another one.',
    help: 'use an archive whose index has SHA256 fields, as every archive of Debian does',
    example: "read the package lists: apt-cache shows no version, size and SHA-256 of 'cpp-12=12.2.0-14'",
  },
  'kit-download-failed': {
    kind: 'error',
    meaning:
      "apt could not download a package, or what arrived is not what the archive's signed index names.",
    help: 'check the network and run the same command again; what was downloaded is kept',
    example: "download 'linux-source-6.1' of version '6.1.192-1': connection timed out",
  },
  'kit-package-unexpected': {
    kind: 'error',
    meaning: 'A package does not hold a file that every kernel package of its kind holds.',
    help: 'this kernel is packaged in a way that kstitch does not know; report it with the package name and version',
    example: "read 'linux-source-6.1': it has no 'usr/src/linux-source-6.1.tar.xz'",
  },
  'kit-prepare-failed': {
    kind: 'error',
    meaning: "kbuild could not prepare the kernel source; make's own last words stand below the message.",
    help: "read make's words above: usually a program or a header file is missing",
    example: "prepare the source of '6.1.0-55-cloud-amd64': make ended with status 2",
  },
  'kit-config-changed': {
    kind: 'error',
    meaning:
      "Preparing the source changed the kernel's configuration, so nothing compiled there would be like the shipped kernel.",
    help: 'this should not happen: report it with the release and the difference shown above',
    example: "prepare the source of '6.1.0-55-cloud-amd64': the configuration changed",
  },
  'kit-other-build': {
    kind: 'error',
    meaning:
      'The machine runs another build of this release than the archive has: a livepatch made for the one would be wrong for the other.',
    help: 'for a kernel that you built yourself give the folder it was built in: --kernel-dir DIR; else reboot into the packaged kernel, or fetch its version from a snapshot archive',
    example:
      "use the kit of the running '6.1.0-55-cloud-amd64': the kernel that runs has the build id '00aa', the kit's has '11bb'",
  },
  'kit-archive-damaged': {
    kind: 'error',
    meaning:
      'A file made by kstitch kernel export is cut short, was changed, or is none: every package in it must have the hash that its list names.',
    help: 'copy the file again; kstitch kernel import FILE --sha256 HEX holds it against what kstitch kernel export printed',
    example: "read 'kit.tar': it ends early, after 104857600 bytes",
  },
  'kit-package-damaged': {
    kind: 'error',
    meaning: 'A package in the cache has other bytes than when it was downloaded, so it cannot be exported.',
    help: 'remove the file named above and run the same command again: it is downloaded anew',
    example:
      "read '/root/.cache/kstitch/debs/1a2b.deb', package 'linux-kbuild-6.1': it has 0 bytes, not 884736",
  },
  'kit-other-packages': {
    kind: 'error',
    meaning:
      'The cache has a kit of this release already, made of other packages than the file to be imported holds. A kit never changes, so the file would not be used.',
    help: 'remove the kit named above if it is not needed any more, and import the file again',
    example:
      "import 'kit.tar': it has '6.1.0-55-cloud-amd64' of version '6.1.192-1', and the cache has a kit of version '6.1.190-1' made of other packages",
  },
  'kit-archive-rootless': {
    kind: 'error',
    meaning:
      "The file was exported without a build root, and this machine does not have the kernel's compiler and linker.",
    help: 'export the kit again without --no-root, or import it on a machine of the same Debian release',
    example:
      "import 'kit.tar': the kernel needs a compiler of Debian 'trixie', which neither this machine nor the file has",
  },
  'kit-own': {
    kind: 'error',
    meaning:
      'A kit of a kernel that you built yourself is not made of packages, so there are none to export.',
    help: 'copy the folder that the kernel was built in, and name it there: --kernel-dir DIR',
    example: "export the kernel kit '6.1.60-mine@0123456789ab': it was made of a folder, not of packages",
  },
  'own-kernel-incomplete': {
    kind: 'error',
    meaning:
      'The folder given with --kernel-dir lacks something that a kernel build leaves at the top of its source.',
    help: 'give the folder in which make built vmlinux, bzImage and the modules; of a build with O= source and objects must be brought together first',
    example: "use the kernel in '/usr/src/linux': it has no 'vmlinux', 'arch/x86/boot/bzImage'",
  },
  'own-kernel-mixed': {
    kind: 'error',
    meaning:
      'vmlinux, the source, the configuration and the modules in the folder given with --kernel-dir do not come from one build; what differs stands below the message.',
    help: 'build the kernel again in that folder, install what comes of it, and boot it; or give the folder that the running kernel came from',
    example: "use the kernel in '/usr/src/linux': its parts are not of one build",
  },
  'own-kernel-config': {
    kind: 'error',
    meaning: 'The kernel was configured without something that livepatches need.',
    help: 'set the options named above, build the kernel again and boot it; CONFIG_DEBUG_INFO_BTF needs pahole',
    example: "use the kernel in '/usr/src/linux': it was configured without CONFIG_LIVEPATCH",
  },
  'delta-version-unknown': {
    kind: 'error',
    meaning: 'The archive has no kernel source package of this version.',
    help: 'take one of the versions named above',
    example: "find the source of Debian kernel '6.1.192-7': the archive has '6.1.192-2', '6.1.192-1'",
  },
  'delta-file-unknown': {
    kind: 'error',
    meaning: 'A file or folder named for the comparison exists in neither of the two kernel versions.',
    help: 'give paths below the top of the kernel source: fs/ext4/mballoc.c',
    example: "compare 'fs/ext4/mbaloc.c': neither '6.1.192-1' nor '6.1.192-2' has it",
  },
  'root-suite-unreachable': {
    kind: 'error',
    meaning:
      "A kernel is compiled with its own Debian release's compiler. This machine has another one, and the archive of that release could not be read, or does not have it.",
    help: 'check the network; for a release that has left the mirrors set KSTITCH_DEBIAN_MIRROR and KSTITCH_DEBIAN_SECURITY_MIRROR to an archive that keeps it',
    example: "make a build root of Debian 'trixie': its archive does not give 'gcc-14' and what it needs",
  },
  'root-not-entered': {
    kind: 'error',
    meaning:
      'The compiler of another Debian release runs in a build root, and this machine does not allow to enter one: a normal user needs user namespaces for it, root the right to mount (CAP_SYS_ADMIN, which containers often lack).',
    help: 'as root: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, and with AppArmor sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; or run kstitch as root; in a container allow CAP_SYS_ADMIN',
    example:
      "enter the build root '/root/.cache/kstitch/roots/trixie-0123456789abcdef': unshare: unshare failed: Operation not permitted",
  },
  'root-setting-invalid': {
    kind: 'error',
    meaning: 'A variable that names an archive or a keyring holds something that apt would not read as one.',
    help: 'set the variable to an address like http://mirror.example/debian, or unset it',
    example: "read KSTITCH_DEBIAN_MIRROR: 'http://a b' is empty or has a space or bracket",
  },
} as const satisfies Record<string, CatalogueEntry>;
