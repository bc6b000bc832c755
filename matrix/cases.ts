/** The kernels of the matrix, and for each the fix that is proven on it. The one place to add another. */

/** A fix that Debian shipped, and a program that shows from user space whether a kernel has it. */
export interface Fix {
  /** Of the livepatch. */
  readonly name: string;
  /** Debian versions; the difference of one file between them is the patch. */
  readonly from: string;
  readonly to: string;
  readonly file: string;
  /** The entry in Debian's changelog. */
  readonly title: string;
  /** What the reproducer looks at. */
  readonly shows: string;
  /** Path from the top of the repository: a shell script, or a program in C. */
  readonly reproducer: string;
  readonly proveOptions: readonly string[];
}

export interface KernelCase {
  readonly release: string;
  readonly debian: '12' | '13';
  readonly fix: Fix;
}

const ext4: Fix = {
  name: 'ext4-mballoc',
  from: '6.1.192-1',
  to: '6.1.192-2',
  file: 'fs/ext4/mballoc.c',
  title: 'ext4: fix NULL folio dereference in mballoc (Closes: #1154101)',
  shows: 'the kernel crashes when it writes a file back after its caches were dropped',
  reproducer: 'demo/reproducer.sh',
  proveOptions: ['--expect-oops', 'ext4_mb_load_buddy_gfp'],
};

const verity: Fix = {
  name: 'statx-verity',
  from: '6.12.115-2~deb12u1',
  to: '6.12.117-1~deb12u1',
  file: 'fs/stat.c',
  title: 'fsverity: hoist statx reporting of fs-verity flag',
  shows: '`statx()` of a file in /proc lacks STATX_ATTR_VERITY in `stx_attributes_mask`',
  reproducer: 'matrix/reproducers/statx-verity.c',
  proveOptions: ['--non-destructive'],
};

const timer: Fix = {
  name: 'disarmed-timer',
  from: '6.12.117-1',
  to: '6.12.118-1',
  file: 'kernel/time/posix-timers.c',
  title: 'posix-timers: Report zero remaining time for disarmed SIGEV_NONE timers',
  shows: '`timer_gettime()` of a disarmed SIGEV_NONE timer says that 99 s are left',
  reproducer: 'matrix/reproducers/disarmed-timer.c',
  proveOptions: ['--non-destructive'],
};

const timens: Fix = {
  name: 'timens-offset',
  from: '6.1.187-1',
  to: '6.1.192-1',
  file: 'kernel/time/namespace.c',
  title: 'time/namespace: Validate nanosecond field in proc_timens_set_offset()',
  shows: '/proc/self/timens_offsets takes an offset of -1 ns',
  reproducer: 'matrix/reproducers/timens-offset.c',
  proveOptions: ['--non-destructive'],
};

/** Of real-time kernels an older one where the archive has the patches of that version (debian/patches-rt). */
export const kernelCases: readonly KernelCase[] = [
  { release: '6.1.0-55-cloud-amd64', debian: '12', fix: ext4 },
  { release: '6.1.0-55-amd64', debian: '12', fix: ext4 },
  { release: '6.1.0-53-rt-amd64', debian: '12', fix: timens },
  { release: '6.12.115+deb12-cloud-amd64', debian: '12', fix: verity },
  { release: '6.12.115+deb12-amd64', debian: '12', fix: verity },
  { release: '6.12.107+deb12-rt-amd64', debian: '12', fix: { ...verity, from: '6.12.107-1~deb12u1' } },
  { release: '6.12.117+deb13-cloud-amd64', debian: '13', fix: timer },
  { release: '6.12.117+deb13-amd64', debian: '13', fix: timer },
  { release: '6.12.111+deb13-rt-amd64', debian: '13', fix: { ...timer, from: '6.12.111-1' } },
];
