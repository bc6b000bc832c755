import { release as runningRelease } from 'node:os';
import type { KernelVerification } from '@kstitch/build/verify-kernel';
import { ExitStatus } from '@kstitch/report/exit-status';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, kernelRelease, type Run, webAddress, wholeNumber } from '../command-line.ts';
import { type CommonOptions, fields, lines, paragraphs, section } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

/** Enough to notice a wrong compiler or source, few enough for two minutes on two cores. */
const DEFAULT_SAMPLE = 20;

/** `kstitch kernel fetch|list|verify` */
export function addKernel(program: Command, run: Run): void {
  const kernel = program
    .command('kernel')
    .summary('fetch, list and verify kernel kits')
    .description('Kernel kits: everything about one kernel release that building a livepatch for it needs.');
  addFetch(kernel, run);
  addList(kernel, run);
  addVerify(kernel, run);
}

function addFetch(kernel: Command, run: Run): void {
  const command = kernel
    .command('fetch')
    .summary('fetch and prepare the kit of one kernel')
    .description(
      'Fetches the Debian packages of exactly this kernel (image, headers, kbuild, source) and prepares them. ' +
        "What is already in the cache is not fetched again; the machine's own apt configuration is not changed.",
    )
    .argument('<release>', 'kernel release as `uname -r` prints it', kernelRelease)
    .option('--snapshot <address>', 'archive to ask for a version that the mirror no longer has', webAddress);
  withPackageOptions(command);
  finish(command, ['kstitch kernel fetch 6.1.0-55-cloud-amd64', 'kstitch kernel fetch "$(uname -r)"']);
  command.action(
    (release: string, options: CommonOptions & PackageOptions & { readonly snapshot?: string }) =>
      run('kernel fetch', options, async (context, shell) => {
        await ensureTools(context, shell, ['kit'], options);
        const { fetchKit } = await import('@kstitch/build/kit/kit');
        const { snapshot } = options;
        const kit = await fetchKit(context, release, snapshot === undefined ? {} : { snapshot });
        return {
          json: { kernel: kit.summary },
          text: look =>
            fields(look, [
              ['kernel', kit.summary.release],
              ['version', kit.summary.version],
              ['kit', kit.summary.directory],
            ]),
        };
      }),
  );
}

function addList(kernel: Command, run: Run): void {
  const command = kernel
    .command('list')
    .summary('list the kits in the cache')
    .description(
      'Lists the kernel kits in the cache, and with --available the kernels that a kit can be fetched for.',
    )
    .option('-a, --available', 'list the kernels of the archive too');
  finish(command, ['kstitch kernel list', 'kstitch kernel list --available']);
  command.action((options: CommonOptions & { readonly available?: boolean }) =>
    run('kernel list', options, async context => {
      const { availableReleases, listKits } = await import('@kstitch/build/kit/kit');
      const kits = await listKits();
      const available = options.available === true ? await availableReleases(context) : undefined;
      const running = runningRelease();
      return {
        json: { running, kernels: kits, ...(available === undefined ? {} : { available }) },
        text: () => {
          const mark = (release: string): string => (release === running ? '  (running)' : '');
          const fetched = kits.map(kit => `${kit.release}  ${kit.version}${mark(kit.release)}`);
          const others = (available ?? []).filter(release => !kits.some(kit => kit.release === release));
          if (fetched.length + others.length === 0) return 'no kernel kits in the cache\n';
          return lines([...fetched, ...others.map(release => `${release}  not fetched${mark(release)}`)]);
        },
      };
    }),
  );
}

function addVerify(kernel: Command, run: Run): void {
  const command = kernel
    .command('verify')
    .summary('compile a sample of units and compare it with the shipped kernel')
    .description(
      'Compiles a sample of units as Debian did and finds each of them in the shipped kernel image: this shows that compiler, ' +
        'configuration and source of the kit are the right ones.',
    )
    .argument('<release>', 'kernel release as `uname -r` prints it', kernelRelease)
    .option('--sample <count>', 'how many units', wholeNumber(1, 100_000), DEFAULT_SAMPLE)
    .option(
      '--seed <number>',
      'which ones: the same number takes the same units',
      wholeNumber(0, 2 ** 31),
      1,
    );
  withPackageOptions(command);
  finish(command, ['kstitch kernel verify 6.1.0-55-cloud-amd64 --sample 50']);
  command.action(
    (
      release: string,
      options: CommonOptions & PackageOptions & { readonly sample: number; readonly seed: number },
    ) =>
      run('kernel verify', options, async (context, shell) => {
        await ensureTools(context, shell, ['build'], options);
        const { verifyKernel } = await import('@kstitch/build/verify-kernel');
        const { sample, seed } = options;
        const { failures, ...found } = await verifyKernel(context, release, { sample, seed });
        context.diagnostics.push(...failures.flatMap(({ findings }) => findings));
        const verified = failures.length === 0;
        return {
          json: {
            release,
            seed,
            verified,
            ...found,
            failures: failures.map(({ unit, object }) => ({ unit, object })),
          },
          text: look => renderVerification(release, found, failures, look),
          status: verified ? ExitStatus.done : ExitStatus.refused,
        };
      }),
  );
}

function renderVerification(
  release: string,
  found: Omit<KernelVerification, 'failures'>,
  failures: KernelVerification['failures'],
  look: Look,
): string {
  return paragraphs([
    fields(look, [
      ['kernel', release],
      ['units', `${found.matched} of ${found.units} are in the shipped kernel as compiled here`],
      ['compared', `${found.functions} functions, ${found.relocations} relocations`],
    ]),
    section(
      look,
      'not as shipped',
      failures.map(({ object, unit }) => `${object}: ${unit}`),
    ),
  ]);
}
