import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { type Purpose, type RequiredPackage, requiredPackages } from './debian-packages.ts';
import { run } from './run.ts';

export interface InstallOptions {
  /** `--yes`: as root, install at once. */
  readonly assumeYes: boolean;
  /** Whether somebody is there to answer. */
  readonly interactive: boolean;
  /** @returns the answer to a yes/no question */
  readonly ask: (question: string) => Promise<boolean>;
}

/**
 * @param purposes - what is about to be done
 * @returns the packages for it that are neither installed nor replaced by programs in PATH, in the table's order
 */
export async function missingPackages(purposes: readonly Purpose[]): Promise<readonly RequiredPackage[]> {
  const entries: readonly RequiredPackage[] = requiredPackages;
  const wanted = entries.filter(entry => entry.purposes.some(purpose => purposes.includes(purpose)));
  const installed = await installedPackages(wanted.map(entry => entry.name));
  const missing = await Promise.all(
    wanted.map(async entry => {
      if (installed.has(entry.name)) return [];
      // A compiler from elsewhere is as good; header files can only be asked of dpkg.
      const replaced =
        entry.tools.length > 0 && (await Promise.all(entry.tools.map(isInPath))).every(found => found);
      return replaced ? [] : [entry];
    }),
  );
  return missing.flat();
}

/**
 * Makes sure that the packages for `purposes` are there: installs what is missing, after saying which and why, at once
 * as root with `--yes` or in CI (`CI=true`), else after asking.
 *
 * @throws KstitchError - `host-packages-missing` with the exact apt line where nobody can be asked or this is not root and
 *   sudo is not there, `host-packages-declined`, `host-packages-failed`
 */
export async function ensurePackages(
  context: Context,
  purposes: readonly Purpose[],
  options: InstallOptions,
): Promise<void> {
  const missing = await missingPackages(purposes);
  if (missing.length === 0) return;
  const names = missing.map(entry => entry.name);
  const reasons = missing.map(entry => `${entry.name}: ${entry.why}`);

  const root = process.getuid?.() === 0;
  const unasked = options.assumeYes || process.env['CI'] === 'true';
  const sudo = !root && options.interactive && (await isInPath('sudo'));
  const possible = (root && unasked) || (options.interactive && (root || sudo));
  if (!possible) {
    throw new KstitchError(
      'host-packages-missing',
      `find what is needed: ${quoteNames(names)} ${names.length === 1 ? 'is' : 'are'} not installed`,
      { notes: [...reasons, aptLine(names, !root)], help: `run: ${aptLine(names, !root)}` },
    );
  }

  context.progress.note('These Debian packages are needed and not installed:');
  for (const reason of reasons) context.progress.note(`  ${reason}`);
  const agreed = (root && unasked) || (await options.ask(`Install them with '${aptLine(names, !root)}'?`));
  if (!agreed) {
    throw new KstitchError('host-packages-declined', `install ${quoteNames(names)}: declined`, {
      notes: [aptLine(names, !root)],
    });
  }
  await context.progress.step(`install ${names.length} system packages`, async update => {
    await install(context, names, root, update);
  });
}

/** The line a reader can paste. */
function aptLine(names: readonly string[], withSudo: boolean): string {
  return `${withSudo ? 'sudo ' : ''}apt-get install --no-install-recommends ${names.join(' ')}`;
}

async function install(
  context: Context,
  names: readonly string[],
  root: boolean,
  update: (detail: string) => void,
): Promise<void> {
  const apt = async (...args: string[]) => {
    const line = ['apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args];
    const { signal } = context;
    const frontend = 'DEBIAN_FRONTEND=noninteractive';
    if (root) await run('env', [frontend, ...line], { signal, onLine: text => update(text.slice(0, 80)) });
    // sudo asks for a password on the terminal and drops the environment.
    else await run('sudo', ['env', frontend, ...line], { signal, onTerminal: true });
  };
  const installNow = () => apt('install', '--yes', '--no-install-recommends', ...names);
  try {
    // A fresh machine has no package lists, an old one has lists whose packages are gone from the archive.
    await installNow().catch(async (error: unknown) => {
      if (context.signal.aborted) throw error;
      await apt('update');
      await installNow();
    });
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
    throw new KstitchError('host-packages-failed', `install ${quoteNames(names)}: apt-get failed`, {
      cause: error,
      notes: error.notes,
      help: `run it yourself and see what apt says: ${aptLine(names, !root)}`,
    });
  }
}

async function installedPackages(names: readonly string[]): Promise<ReadonlySet<string>> {
  // Status 1: at least one is unknown to dpkg; the known ones are printed all the same.
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...names], {
    allowStatus: [1],
  });
  const lines = stdout.split('\n').map(line => line.split(' '));
  return new Set(
    lines.flatMap(([name, status]) => (name !== undefined && status === 'installed' ? [name] : [])),
  );
}

async function isInPath(tool: string): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '');
  // mkfs.ext4 and its kind lie outside the PATH of an ordinary user.
  const tries = [...folders, '/usr/sbin', '/sbin'].map(folder =>
    access(join(folder, tool), constants.X_OK).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(tries)).some(found => found);
}

function quoteNames(names: readonly string[]): string {
  return names.map(name => `'${name}'`).join(', ');
}
