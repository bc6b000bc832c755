import { release as runningRelease } from 'node:os';
import { basename } from 'node:path';
import type { Bundle } from '@kstitch/livepatch/bundle';
import type { Look } from '@kstitch/report/render-text';
import { type Command, Option } from 'commander';
import { finish, kernelRelease, type Run } from '../command-line.ts';
import { inputKinds, readInput } from '../input-file.ts';
import { type CommonOptions, fields, lines, paragraphs, section } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

interface BuildOptions extends CommonOptions, PackageOptions {
  readonly kernel: string;
  readonly name?: string;
  readonly output: string;
}

/** `kstitch build PATCH… --kernel RELEASE` */
export function addBuild(program: Command, run: Run): void {
  const command = program
    .command('build')
    .summary('build a livepatch from source patches')
    .description(
      'Builds a livepatch module for one kernel from one or more source patches, applied in the order given, and writes ' +
        'NAME.ko and NAME.json. Refuses, with reasons, what cannot be patched safely in a running kernel.',
    )
    .argument('<patch...>', 'source patches, as from diff -u or git; - is standard input')
    .addOption(
      new Option('-k, --kernel <release>', 'kernel to build for')
        .argParser(kernelRelease)
        .default(runningRelease(), 'the running one'),
    )
    .option('-n, --name <name>', 'name of the livepatch (default: that of the first patch)')
    .option('-o, --output <folder>', 'where the livepatch is written to', '.');
  withPackageOptions(command);
  finish(command, [
    'kstitch build ext4.patch --kernel 6.1.0-55-cloud-amd64 \\\n      --name ext4-mballoc -o out',
  ]);
  command.action((paths: readonly string[], options: BuildOptions) =>
    run('build', options, async (context, shell) => {
      // The patches first: who mistyped a name need not wait for packages.
      const patches: { name: string; bytes: Uint8Array }[] = [];
      for (const path of paths) {
        const name = path === '-' ? 'stdin.patch' : basename(path);
        patches.push({ name, bytes: await readInput(path, inputKinds.patch, context.signal) });
      }
      await ensureTools(context, shell, ['build'], options);
      const { buildLivepatch } = await import('@kstitch/build/build-livepatch');
      const { modulePath, bundlePath, bundle } = await buildLivepatch(context, {
        patches,
        release: options.kernel,
        name: options.name ?? nameFrom(patches[0]?.name ?? 'livepatch'),
        outputDirectory: options.output,
      });
      return {
        json: { modulePath, bundlePath, bundle },
        text: look => renderBuilt(modulePath, bundlePath, bundle, look),
      };
    }),
  );
}

function renderBuilt(modulePath: string, bundlePath: string, bundle: Bundle, look: Look): string {
  const { runPre, unload } = bundle;
  return paragraphs([
    lines(
      bundle.objects.flatMap(object =>
        object.functions.map(({ name }) => `${object.name}: changed function: ${name}()`),
      ),
    ),
    fields(look, [
      ['livepatch', modulePath],
      ['description', bundlePath],
      ['kernel', `${bundle.kernel.release} (${bundle.kernel.packageVersion})`],
      [
        'matched',
        `${count(runPre.functions, 'function')} of ${count(runPre.units, 'unit')}, ${count(runPre.relocations, 'relocation')}, in the shipped kernel`,
      ],
      ['unload', unload.verdict],
    ]),
    section(look, 'why it must stay loaded', unload.reasons),
    section(look, 'mind when a patched module is loaded again', bundle.reload),
    section(look, 'mind', bundle.cautions),
    section(look, 'next', [`kstitch prove ${modulePath} --reproducer SCRIPT`]),
  ]);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** @returns `ext4-mballoc` for `0001-ext4-mballoc.patch` */
function nameFrom(fileName: string): string {
  const stem = fileName.replace(/\.(?:patch|diff|txt)$/, '').replace(/^\d{4}-/, '');
  return stem === '' ? 'livepatch' : stem;
}
