import { release as runningRelease } from 'node:os';
import type { PackageInfo } from '@kstitch/build/kit/distribution';
import type { PackageList } from '@kstitch/build/kit/export-kit';
import type { KernelVerification } from '@kstitch/build/verify-kernel';
import { KstitchError } from '@kstitch/report/error';
import { ExitStatus } from '@kstitch/report/exit-status';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import {
  finish,
  kernelRelease,
  kitName,
  type Run,
  sha256Digest,
  webAddress,
  wholeNumber,
} from '../command-line.ts';
import { tuneForWork } from '../engine.ts';
import { checkKernelOptions, chooseKit, type KernelOptions, withOtherKernels } from '../kernel-choice.ts';
import { type CommonOptions, fields, lines, paragraphs, section } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

/** Enough to notice a wrong compiler or source, few enough for two minutes on two cores. */
const DEFAULT_SAMPLE = 20;

/** `kstitch kernel fetch|list|verify|export|import` */
export function addKernel(program: Command, run: Run): void {
  const kernel = program
    .command('kernel')
    .summary('fetch, list, verify, export and import kernel kits')
    .description('Kernel kits: everything about one kernel release that building a livepatch for it needs.');
  addFetch(kernel, run);
  addList(kernel, run);
  addVerify(kernel, run);
  addExport(kernel, run);
  addImport(kernel, run);
}

function addFetch(kernel: Command, run: Run): void {
  const command = kernel
    .command('fetch')
    .summary('fetch and prepare the kit of one kernel')
    .description(
      'Fetches the Debian packages of exactly this kernel (image, headers, kbuild, source) and prepares them; of a kernel that ' +
        'you built the folder is copied in their place (--kernel-dir). ' +
        "What is already in the cache is not fetched again; the machine's own apt configuration is not changed.",
    )
    .argument('[release]', 'kernel release as `uname -r` prints it', kernelRelease)
    .option('--snapshot <address>', 'archive to ask for a version that the mirror no longer has', webAddress)
    .option('--print-packages', 'print the packages that a kit is made of, and fetch none');
  withOtherKernels(command);
  withPackageOptions(command);
  finish(command, ['kstitch kernel fetch 6.1.0-55-cloud-amd64', 'kstitch kernel fetch --from-running']);
  command.action(
    (
      release: string | undefined,
      options: CommonOptions & PackageOptions & KernelOptions & { readonly printPackages?: boolean },
    ) =>
      run('kernel fetch', options, async (context, shell) => {
        const kernel = namedKernel('fetch', release, options);
        const { snapshot } = options;
        if (options.printPackages === true) {
          if (release === undefined)
            throw new KstitchError('usage', "option '--print-packages' needs a release");
          await ensureTools(context, shell, ['archive'], options);
          const { listPackages } = await import('@kstitch/build/kit/export-kit');
          const list = await listPackages(context, release, snapshot === undefined ? {} : { snapshot });
          return { json: { ...list }, text: () => renderPackages(list) };
        }
        await ensureTools(context, shell, ['kit'], options);
        const { fetchKit } = await import('@kstitch/build/kit/kit');
        const kit =
          release === undefined
            ? await chooseKit(context, kernel)
            : await fetchKit(context, release, snapshot === undefined ? {} : { snapshot });
        return {
          json: { kernel: kit.summary },
          text: look =>
            fields(look, [
              ['kernel', kit.summary.name],
              ['version', kit.summary.version],
              ['kit', kit.summary.directory],
            ]),
        };
      }),
  );
}

/** One package a line, for scripts as for people: name, version, bytes, SHA-256. */
function renderPackages({ packages, root }: PackageList): string {
  const show = ({ name, version, size, sha256 }: PackageInfo) => `${name} ${version} ${size} ${sha256}`;
  return lines([
    ...packages.map(show),
    ...(root === undefined ? [] : [`# build root of Debian '${root.suite}'`, ...root.packages.map(show)]),
  ]);
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
          const fetched = kits.map(kit => `${kit.name}  ${kit.version}${mark(kit.release)}`);
          const others = (available ?? []).filter(release => !kits.some(kit => kit.name === release));
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
        'configuration and source of the kit are the right ones, or where another compiler makes other code.',
    )
    .argument('[release]', 'kernel release as `uname -r` prints it', kitName)
    .option('--sample <count>', 'how many units', wholeNumber(1, 100_000), DEFAULT_SAMPLE)
    .option(
      '--seed <number>',
      'which ones: the same number takes the same units',
      wholeNumber(0, 2 ** 31),
      1,
    );
  withOtherKernels(command);
  withPackageOptions(command);
  finish(command, ['kstitch kernel verify 6.1.0-55-cloud-amd64 --sample 50']);
  command.action(
    (
      name: string | undefined,
      options: CommonOptions &
        PackageOptions &
        KernelOptions & { readonly sample: number; readonly seed: number },
    ) =>
      run('kernel verify', options, async (context, shell) => {
        const kernel = namedKernel('verify', name, options);
        await ensureTools(context, shell, ['build'], options);
        const { verifyKernel } = await import('@kstitch/build/verify-kernel');
        tuneForWork();
        const { sample, seed } = options;
        const kit = await chooseKit(context, kernel);
        const { release } = kit;
        const { failures, tools, ...found } = await verifyKernel(context, kit.name, { sample, seed });
        context.diagnostics.push(...tools, ...failures.flatMap(({ findings }) => findings));
        const verified = context.diagnostics.every(({ severity }) => severity !== 'refusal');
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

function addExport(kernel: Command, run: Run): void {
  const command = kernel
    .command('export')
    .summary('write a kit into one file, for a machine without a network')
    .description(
      'Writes the packages that a kit was made of into one file, with those of a build root for a machine that has ' +
        'another compiler. What is not in the cache any more is downloaded.',
    )
    .argument('<release>', 'kernel release as `uname -r` prints it', kitName)
    .requiredOption('-o, --output <file>', 'where the file is written to')
    .option('--no-root', 'leave the build root out: the other machine has the compiler of the kernel');
  withPackageOptions(command);
  finish(command, ['kstitch kernel export 6.1.0-55-cloud-amd64 --output kit.tar']);
  command.action(
    (
      release: string,
      options: CommonOptions & PackageOptions & { readonly output: string; readonly root: boolean },
    ) =>
      run('kernel export', options, async (context, shell) => {
        await ensureTools(context, shell, ['archive'], options);
        const { exportKit } = await import('@kstitch/build/kit/export-kit');
        const archive = await exportKit(context, release, options.output, { root: options.root });
        return {
          json: { file: options.output, ...archive },
          text: look =>
            fields(look, [
              ['kernel', archive.release],
              ['file', options.output],
              ['holds', `${archive.packages} packages, ${archive.size} bytes`],
              ['SHA-256', archive.sha256],
            ]),
        };
      }),
  );
}

function addImport(kernel: Command, run: Run): void {
  const command = kernel
    .command('import')
    .summary('make a kit from a file that was exported')
    .description(
      'Makes a kit from what kstitch kernel export wrote, without a network. Every package is held against its hash first; ' +
        'whether the file is the one that was exported, its SHA-256 tells. Programs in it are run: give the SHA-256 ' +
        'that kstitch kernel export printed, and another file is refused before.',
    )
    .argument('<file>', 'written by kstitch kernel export')
    .option('--sha256 <hex>', 'refuse the file unless it has this SHA-256', sha256Digest);
  withPackageOptions(command);
  finish(command, [
    'kstitch kernel import kit.tar \\\n      --sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  ]);
  command.action((file: string, options: CommonOptions & PackageOptions & { readonly sha256?: string }) =>
    run('kernel import', options, async (context, shell) => {
      await ensureTools(context, shell, ['kit'], options);
      const { importKit } = await import('@kstitch/build/kit/kit-archive');
      const { kit, archive } = await importKit(context, file, options.sha256);
      return {
        json: { kernel: kit.summary, file, sha256: archive.sha256 },
        text: look =>
          fields(look, [
            ['kernel', kit.summary.name],
            ['version', kit.summary.version],
            ['kit', kit.summary.directory],
            ['SHA-256', archive.sha256],
          ]),
      };
    }),
  );
}

/** @throws KstitchError - `usage` where no kernel is named at all, or two are */
function namedKernel(
  command: string,
  release: string | undefined,
  { kernelDir, fromRunning, snapshot }: KernelOptions,
): KernelOptions {
  if (release === undefined && kernelDir === undefined && fromRunning !== true)
    throw new KstitchError('usage', "missing required argument 'release'", {
      help: `\`kstitch kernel ${command} --help\` shows its arguments and an example`,
    });
  const named = {
    ...(release === undefined ? {} : { kernel: release }),
    ...(kernelDir === undefined ? {} : { kernelDir }),
    ...(fromRunning === undefined ? {} : { fromRunning }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
  checkKernelOptions(named);
  return named;
}

function renderVerification(
  release: string,
  found: Omit<KernelVerification, 'failures' | 'tools'>,
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
