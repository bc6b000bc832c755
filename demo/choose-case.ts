import { readFileSync } from 'node:fs';

/** A bug of a stock kernel, its fix, and a script that shows it. */
export interface DemoCase {
  readonly title: string;
  /** What the reader must be told before anything else. */
  readonly loud: readonly string[];
  readonly release: string;
  readonly name: string;
  readonly patchName: string;
  /** The difference of one file between two Debian versions, or a patch of our own. */
  readonly patch:
    | { readonly from: string; readonly to: string; readonly file: string }
    | { readonly text: string };
  /** Path of the script, from the top of the repository. */
  readonly reproducer: string;
  readonly proveOptions: readonly string[];
}

/**
 * Debian 6.1.192-1 shipped an ext4 regression that 6.1.192-2 fixes in this one file ("ext4: fix NULL folio dereference in
 * mballoc", Closes: #1154101).
 */
const ext4: DemoCase = {
  title: 'the ext4 crash of Debian 6.1.192-1, fixed in the running kernel',
  loud: [],
  release: '6.1.0-55-cloud-amd64',
  name: 'ext4-mballoc',
  patchName: 'ext4.patch',
  patch: { from: '6.1.192-1', to: '6.1.192-2', file: 'fs/ext4/mballoc.c' },
  reproducer: 'demo/reproducer.sh',
  proveOptions: ['--expect-oops', 'ext4_mb_load_buddy_gfp'],
};

/**
 * @param kstitch - runs a command, returns its JSON
 * @returns the ext4 case; where the archive no longer has that kernel, a synthetic one on the newest kernel that it has
 */
export async function chooseCase(kstitch: (words: readonly string[]) => Promise<string>): Promise<DemoCase> {
  const { kernels, available } = JSON.parse(await kstitch(['kernel', 'list', '--available'])) as {
    kernels: { release: string }[];
    available: string[];
  };
  const known = [...kernels.map(kernel => kernel.release), ...available];
  if (known.includes(ext4.release)) return ext4;
  const newest = available
    .filter(release => /^6\.1\..*-cloud-amd64$/.test(release))
    .sort(byNumber)
    .at(-1);
  if (newest === undefined) return ext4;
  return {
    title: `a synthetic patch on ${newest}`,
    loud: [
      '',
      `THE ARCHIVE NO LONGER HAS ${ext4.release}, WHICH SHOWS A REAL BUG.`,
      'What follows is a patch of our own that changes a line of /proc/meminfo: it shows',
      'the same steps on a stock kernel, but no fix that Debian shipped.',
    ],
    release: newest,
    name: 'meminfo',
    patchName: 'meminfo.patch',
    patch: { text: readFileSync(new URL('meminfo.patch', import.meta.url), 'utf8') },
    reproducer: 'demo/meminfo.sh',
    proveOptions: ['--non-destructive'],
  };
}

function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
