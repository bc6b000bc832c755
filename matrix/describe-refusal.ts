import { Apt } from '@kstitch/build/kit/apt';
import { suiteOf } from '@kstitch/build/root/suites';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import type { KstitchError } from '@kstitch/report/error';
import type { RefusedFetch } from './kernel-result.ts';

/** What livepatch needs of a configuration (kernel/livepatch/Kconfig), and what makes the flavour another one. */
const deciding = [
  'CONFIG_LIVEPATCH',
  'CONFIG_DYNAMIC_FTRACE_WITH_REGS',
  'CONFIG_HAVE_RELIABLE_STACKTRACE',
  'CONFIG_KALLSYMS_ALL',
  'CONFIG_MODULES',
  'CONFIG_PREEMPT_RT',
];

/** @returns why no kit could be made, and what the kernel's own configuration says */
export async function describeRefusal(
  context: Context,
  release: string,
  { code, message, notes }: KstitchError,
): Promise<RefusedFetch> {
  const config = await readShippedConfig(context, release);
  const why = notes.find(note => note.includes('Not Found'))?.trim();
  return {
    code,
    message: why === undefined ? message : `${message} (${why.replace(/ \[IP: .*/, '')})`,
    config: decidingLines(config),
  };
}

/** @returns for each option that decides its line, also when it is not set */
export function decidingLines(config: string): string[] {
  const lines = config.split('\n');
  return deciding.map(
    option =>
      lines.find(line => line.startsWith(`${option}=`) || line === `# ${option} is not set`) ??
      `# ${option} is not there`,
  );
}

/** The headers package has the configuration and is fifty times smaller than the kernel. */
async function readShippedConfig(context: Context, release: string): Promise<string> {
  const suite = suiteOf(release);
  const apt = suite === undefined ? new Apt() : new Apt(`suite-${suite.name}`, suite.sources);
  await apt.refresh(context);
  const name = `linux-headers-${release}`;
  const [headers] = await apt.show(name, context.signal);
  if (headers === undefined) throw new Error(`the archive has no '${name}'`);
  const deb = await apt.download(context, headers, () => {});
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --to-stdout "./usr/src/$2/.config"';
  const { stdout } = await run('bash', ['-o', 'pipefail', '-c', script, 'config', deb, name], {
    signal: context.signal,
  });
  return stdout;
}
