/**
 * A root folder for a virtual machine in which kstitch itself runs: this machine's Node.js and the few programs that kstitch
 * calls, with their libraries, and the packages of this repository, as an ext4 image. The guest enters it with chroot.
 */
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { readBusybox } from '@kstitch/vm/busybox';

const repository = join(import.meta.dirname, '../../..');

/** Node.js has 121 MiB. */
const imageMebibytes = 256;

/** busybox's, under the names by which kstitch calls them. */
const applets = ['sh', 'cat', 'insmod', 'rmmod'];

/**
 * Where the guest finds {@link makeGuestRoot}'s image, and how it calls kstitch there: `answer NAME COMMAND…` writes what the
 * command says with `--json`, for {@link readAnswers}.
 */
export const guestRootScript = `
  mkdir /root/k && mount -t ext4 -o noatime /dev/vdb /root/k || exit 99
  for folder in proc sys dev; do mount -o bind /$folder /root/k/$folder; done
  mount -t tracefs tracefs /root/k/sys/kernel/tracing
  mount -t debugfs debug /root/k/sys/kernel/debug
  mount -t securityfs security /root/k/sys/kernel/security
  export NODE_COMPILE_CACHE=/tmp/code
  kstitch() { chroot /root/k /bin/node /kstitch/packages/cli/src/main.ts "$@"; }
  answer() {
    name=$1; shift
    # Written at once, for commands may run beside each other.
    said=$(kstitch "$@" --json 2>/dev/console); status=$?
    printf '@answer %s %s\\n%s\\n' "$name" "$status" "$said"
  }
`;

/** What the guest wrote, by the names given to `answer`. */
export interface Answers {
  /** The exit status, and the object that the command wrote. */
  answer: (name: string) => { readonly status: number; readonly json: ReturnType<typeof JSON.parse> };
  /** What is no JSON. */
  lines: (name: string) => string[];
  statusOf: (name: string) => number;
}

/** @param log - of the boot, for messages */
export function readAnswers(output: Uint8Array, log: string): Answers {
  const [, ...blocks] = Buffer.from(output)
    .toString('utf8')
    .split(/^@answer /m);
  const answers = new Map(
    blocks.map(block => {
      const end = block.indexOf('\n');
      const [name = '', status = ''] = block.slice(0, end).split(' ');
      return [name, { status: Number(status), text: block.slice(end + 1) }];
    }),
  );
  const find = (name: string) => {
    const found = answers.get(name);
    if (found === undefined) throw new Error(`the guest gave no answer to '${name}'\n${log}`);
    return found;
  };
  return {
    answer: name => {
      const { status, text } = find(name);
      try {
        return { status, json: JSON.parse(text) };
      } catch (cause) {
        throw new Error(
          `the guest's answer to '${name}', with status ${status}, is no JSON: '${text}'\n${log}`,
          { cause },
        );
      }
    },
    lines: name => find(name).text.trimEnd().split('\n'),
    statusOf: name => find(name).status,
  };
}

/** What the guest's root has besides kstitch. */
export interface GuestContents {
  /** Files, by their paths in the guest. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Folders of this machine, by their paths in the guest. */
  readonly folders?: Readonly<Record<string, string>>;
  /** Programs of this machine: paths; in the guest they lie in /bin. */
  readonly programs?: readonly string[];
}

/** @param image - a file that does not exist yet */
export async function makeGuestRoot(
  context: Context,
  image: string,
  { files, folders = {}, programs = [] }: GuestContents,
): Promise<void> {
  const root = `${image}.d`;
  const copy = (from: string, to: string): Promise<void> => cp(from, join(root, to), { dereference: true });
  for (const folder of ['proc', 'sys', 'dev', 'tmp', 'bin', 'var/lib', 'root', 'kstitch/node_modules'])
    await mkdir(join(root, folder), { recursive: true });

  for (const program of [process.execPath, '/usr/bin/flock', '/usr/bin/setpriv', ...programs]) {
    await copy(program, `bin/${program.slice(program.lastIndexOf('/') + 1)}`);
    for (const library of await librariesOf(program)) await copy(library, library);
  }
  await writeFile(join(root, 'bin/busybox'), await readBusybox(), { mode: 0o755 });
  for (const applet of applets.filter(name => !programs.some(path => path.endsWith(`/${name}`))))
    await symlink('busybox', join(root, 'bin', applet));
  for (const [to, from] of Object.entries(folders))
    await cp(from, join(root, to), { recursive: true, verbatimSymlinks: true });

  for (const name of ['package.json', 'packages'])
    await cp(join(repository, name), join(root, 'kstitch', name), {
      recursive: true,
      filter: path => !/\.test\.ts$|\/fixtures$|\/cases$/.test(path),
    });
  // Links to the packages, and the npm packages that kstitch's own commands load in the guest.
  for (const name of ['@kstitch', 'commander', 'smol-toml', 'valibot'])
    await cp(join(repository, 'node_modules', name), join(root, 'kstitch/node_modules', name), {
      recursive: true,
      verbatimSymlinks: true,
    });
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', root, image, `${imageMebibytes}M`], {
    signal: context.signal,
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
}

/** @returns paths of the shared libraries, the dynamic loader among them */
export async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program]);
  return Array.from(stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g), ([, path = '']) => path);
}
