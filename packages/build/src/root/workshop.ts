/**
 * Where compilers and kbuild run: on this machine, or inside a build root, a folder with the programs of another Debian release
 * (build-root.ts).
 *
 * A root is entered anew for every program, which costs about 20 ms: a mount namespace in which the root is read-only and the
 * folders of this machine that are worked in stand at their own paths, so that what kbuild records of paths stays true. The
 * machine itself is never changed: the mounts are gone with the program.
 */
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError } from '@kstitch/host/files';
import { type RunOptions, type RunResult, run } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';
import { kbuildEnvironment } from '../kit/kbuild.ts';
import type { BuildRoot } from './build-root.ts';
import { namespaceRemedy } from './namespace-remedy.ts';

export interface Workshop {
  /** undefined: this machine. */
  readonly root: BuildRoot | undefined;
  /**
   * Runs a program with the environment of kbuild and nothing else of this process's.
   *
   * @param program - a name, looked for in PATH
   * @throws KstitchError - `root-not-entered`, and as {@link run}
   */
  run(program: string, args: readonly string[], options: WorkshopOptions): Promise<RunResult>;
}

export type WorkshopOptions = Pick<
  RunOptions,
  'cwd' | 'signal' | 'maxOutput' | 'allowStatus' | 'onLine' | 'input'
>;

export const thisMachine: Workshop = {
  root: undefined,
  run: (program, args, options) => run(program, args, { ...options, onlyEnv: kbuildEnvironment() }),
};

export function inRoot(root: BuildRoot): Workshop {
  return {
    root,
    run: async (program, args, options) => {
      const folders = [cacheDirectory(), tmpdir()];
      for (const folder of folders) {
        const place = join(root.directory, folder);
        await mkdir(place, { recursive: true }).catch((error: unknown) => {
          throw fileError(`make '${place}'`, error);
        });
      }
      const shared = [...folders, '/proc', '/dev'];
      // A normal user gets the right to mount in a user namespace of its own, in which it looks like root.
      const asRoot = process.getuid?.() === 0;
      const enter = [
        ...(asRoot ? [] : ['--user', '--map-root-user']),
        '--mount',
        'sh',
        '-c',
        enterScript,
        'enter-root',
        root.directory,
        options.cwd ?? '/',
        String(shared.length),
        ...shared,
      ];
      try {
        const result = await run('unshare', [...enter, program, ...args], {
          ...options,
          onlyEnv: kbuildEnvironment(),
        });
        // 1 may be a status that the caller takes for the program's own.
        if (result.status !== 0) stopUnlessEntered(root, result.stderr.split('\n'));
        return result;
      } catch (error) {
        if (error instanceof KstitchError) stopUnlessEntered(root, error.notes, error);
        throw error;
      }
    },
  };
}

/**
 * $1: the root, $2: the folder to be in, $3: how many paths follow that stand in the root as they are outside, then these and
 * the program with its arguments. Within a user namespace mounts of the machine can only be bound with all below them.
 */
const enterScript = `
fail() { echo "enter-root: $1" >&2; exit 125; }
root=$1 cwd=$2 count=$3; shift 3
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" || fail "cannot mount '$root'"
while [ "$count" -gt 0 ]; do
  mount --rbind "$1" "$root$1" || fail "cannot mount '$1'"
  shift; count=$((count - 1))
done
exec chroot "$root" /usr/bin/env --chdir="$cwd" PATH=/usr/sbin:/usr/bin "$@"
`;

function stopUnlessEntered(root: BuildRoot, stderr: readonly string[], cause?: unknown): void {
  const notes = stderr.filter(line => /^(?:unshare|mount|chroot|enter-root): /.test(line));
  if (notes.length === 0) return;
  const help = namespaceRemedy(process.getuid?.() !== 0);
  throw new KstitchError('root-not-entered', `enter the build root '${root.directory}': ${notes[0]}`, {
    cause,
    notes: notes.slice(1),
    ...(help === undefined ? {} : { help }),
  });
}
