import { basename } from 'node:path';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { KstitchError } from '@kstitch/report/error';
import type { Look } from '@kstitch/report/render-text';
import { type Command, Option } from 'commander';
import { finish, type Run, wholeNumber } from '../command-line.ts';
import { tuneForWork } from '../engine.ts';
import { chooseKit, type KernelOptions, withKernelOptions } from '../kernel-choice.ts';
import { readPatchWords, sortWords } from '../patch-words.ts';
import { type CommonOptions, fields, lines, paragraphs, section } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

interface BuildOptions extends CommonOptions, PackageOptions, KernelOptions {
  readonly name?: string;
  readonly output: string;
  readonly on?: readonly string[];
  readonly maxUnits?: number;
  readonly identity?: readonly string[];
  readonly leaveOut?: readonly string[];
  readonly acceptLayout?: readonly string[];
}

/** `kstitch build PATCH… --kernel RELEASE` */
export function addBuild(program: Command, run: Run): void {
  const command = program
    .command('build')
    .summary('build a livepatch from source patches')
    .description(
      'Builds a livepatch module for one kernel from one or more source patches, applied in the order given, and writes ' +
        'NAME.ko and NAME.json. Refuses, with reasons, what cannot be patched safely in a running kernel. A livepatch takes the ' +
        'place of all that are loaded: with --on it contains what they do.',
    )
    .argument('[patch...]', 'source patches, as from diff -u or git; - is standard input')
    .option('--on <bundle.json...>', 'livepatches that the new one contains, earliest first')
    .addOption(
      new Option('--max-units <number>', 'refuse a patch that affects more units (default: 200)').argParser(
        wholeNumber(1, 100_000),
      ),
    )
    .option(
      '--identity <unit...>',
      'carry all functions of these .c files of the kernel unchanged, to test kstitch',
    )
    .option('--leave-out <function...>', 'with --identity: functions that are not carried')
    .addOption(
      new Option(
        '--accept-layout <name>',
        'build although the patch changes the layout of this struct, or this enumerator; may be given several times',
      ).argParser((name: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), name]),
    )
    .option('-n, --name <name>', 'name of the livepatch (default: that of the first patch or unit)')
    .option('-o, --output <folder>', 'where the livepatch is written to', '.');
  withKernelOptions(command, 'kernel to build for');
  withPackageOptions(command);
  finish(command, [
    'kstitch build ext4.patch --kernel 6.1.0-55-cloud-amd64 \\\n      --name ext4-mballoc -o out',
    'kstitch build net.patch --on out/kstitch_ext4_mballoc_1a2b3c4d.json \\\n      --kernel 6.1.0-55-cloud-amd64 -o out',
    'kstitch build my.patch --kernel-dir /usr/src/linux -o out',
    'kstitch build --identity net/ipv4/tcp_input.c --kernel 6.1.0-55-cloud-amd64',
  ]);
  command.action((paths: readonly string[], options: BuildOptions) =>
    run('build', options, async (context, shell) => {
      // The patches first: who mistyped a name need not wait for packages.
      const identity = identityOf(paths, options);
      const { on, patches } = await readPatchWords(
        context,
        identity ? noWords : sortWords(paths, options.on),
      );
      await ensureTools(context, shell, ['build'], options);
      const kit = await chooseKit(context, options);
      const { buildLivepatch } = await import('@kstitch/build/build-livepatch');
      tuneForWork();
      const { modulePath, bundlePath, bundle } = await buildLivepatch(context, {
        patches,
        on,
        ...(identity && { identity }),
        ...(options.maxUnits === undefined ? {} : { maxUnits: options.maxUnits }),
        ...(options.acceptLayout === undefined ? {} : { acceptLayout: options.acceptLayout }),
        release: kit.name,
        name:
          options.name ??
          nameFrom((patches[0] ?? on[0]?.patches[0])?.name ?? basename(identity?.units[0] ?? '')),
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
    lines([
      ...bundle.objects.flatMap(object => [
        ...object.functions.map(
          ({ name, why }) =>
            `${object.name}: ${why === 'identity' ? 'unchanged' : 'changed'} function: ${name}()`,
        ),
        ...object.callbacks.map(({ kind, name }) => `${object.name}: ${kind} callback: ${name}()`),
      ]),
      ...bundle.states.map(({ id, version }) => `system state ${id}, version ${version}`),
    ]),
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

const noWords = { bundlePaths: [], patchPaths: [] };

/**
 * @returns what is to be carried unchanged; undefined when there are patches instead
 * @throws KstitchError - `usage`
 */
function identityOf(paths: readonly string[], { identity: units, leaveOut, on }: BuildOptions) {
  if (units === undefined) {
    if (leaveOut === undefined) return undefined;
    throw new KstitchError('usage', "option '--leave-out' needs '--identity'");
  }
  if (paths.length > 0 || on !== undefined)
    throw new KstitchError('usage', "option '--identity' takes no patches and no bundles");
  return { units, ...(leaveOut && { leaveOut }) };
}

/** @returns `ext4-mballoc` for `0001-ext4-mballoc.patch` */
function nameFrom(fileName: string): string {
  const stem = fileName.replace(/\.(?:patch|diff|txt|c)$/, '').replace(/^\d{4}-/, '');
  return stem === '' ? 'livepatch' : stem;
}
