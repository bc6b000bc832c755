import { basename, dirname, join } from 'node:path';
import type { Proof, ProofRun, ProofSplat } from '@kstitch/livepatch/proof';
import type { Look } from '@kstitch/report/render-text';
import type { ProveRequest } from '@kstitch/vm/prove';
import { type Command, Option } from 'commander';
import { finish, kernelModule, type Run, wholeNumber } from '../command-line.ts';
import { inputKinds, readInput, readInputText } from '../input-file.ts';
import { type CommonOptions, fields, paragraphs, section } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

interface ProveOptions extends CommonOptions, PackageOptions {
  readonly reproducer: string;
  readonly timeout: number;
  readonly expectOops?: string;
  readonly nonDestructive?: boolean;
  readonly module: readonly string[];
  readonly disk?: number;
  readonly accelerator?: 'kvm' | 'tcg';
}

/** `kstitch prove LIVEPATCH --reproducer SCRIPT` */
export function addProve(program: Command, run: Run): void {
  const command = program
    .command('prove')
    .summary('prove a livepatch in a virtual machine')
    .description(
      'Boots the very kernel that the livepatch is for in QEMU: the bug must be there on the bare kernel, and gone once the ' +
        'livepatch is loaded. The livepatch is disabled, removed and loaded again, and the kernel log read throughout. ' +
        'Writes NAME.proof.json and the console logs beside the module.',
    )
    .argument('<livepatch>', 'the module, NAME.ko; NAME.json must lie beside it')
    .requiredOption(
      '-r, --reproducer <script>',
      'shell script run in the machine: exit 0 = bug absent, 1 = present, anything else = invalid; a crash, or no end in time, counts as present',
    )
    .option('--timeout <seconds>', 'time for one run of the reproducer', wholeNumber(1, 86_400), 120)
    .option('--expect-oops <function>', 'the crash of the bare kernel must name this function')
    .option(
      '--non-destructive',
      'the reproducer leaves the kernel alive: run it without the livepatch in the same boot too',
    )
    .option(
      '--module <name>',
      'load this module of the kernel first; may be given again',
      (name: string, earlier: readonly string[]) => [...earlier, kernelModule(name)],
      [],
    )
    .option('--disk <MiB>', 'size of the disk that the script finds in KSTITCH_DISK', wholeNumber(16, 65_536))
    .addOption(
      new Option('--accelerator <name>', 'how QEMU runs the processor')
        .choices(['kvm', 'tcg'])
        .default(undefined, 'whichever works'),
    );
  withPackageOptions(command);
  finish(command, [
    'kstitch prove out/kstitch_ext4_mballoc_1a2b3c4d.ko \\\n      --reproducer repro.sh --expect-oops ext4_mb_load_buddy_gfp',
  ]);
  command.action((path: string, options: ProveOptions) =>
    run('prove', options, async (context, shell) => {
      const { signal } = context;
      const { parseBundle } = await import('@kstitch/livepatch/bundle');
      const folder = dirname(path);
      const name = basename(path, '.ko');
      const bytes = await readInput(path, inputKinds.livepatch, signal);
      const bundlePath = join(folder, `${name}.json`);
      const bundle = parseBundle(await readInputText(bundlePath, inputKinds.bundle, signal), bundlePath);
      const reproducer = await readInputText(options.reproducer, inputKinds.reproducer, signal);

      await ensureTools(context, shell, ['vm'], options);
      const { openKit } = await import('@kstitch/build/kit/kit');
      const { kitNameOf } = await import('@kstitch/build/kit/own-kit');
      const { proveLivepatch } = await import('@kstitch/vm/prove');
      const kit = await openKit(kitNameOf(bundle.kernel));
      const { expectOops, module: modules, disk: diskMebibytes, accelerator } = options;
      const request: ProveRequest = {
        module: { path, name, sha256: bundle.sha256, bytes },
        removable: bundle.unload.verdict === 'safe',
        kernel: {
          release: kit.release,
          vmlinuzPath: kit.paths.vmlinuz,
          modulesDirectory: kit.paths.modulesDirectory,
        },
        reproducer,
        timeoutSeconds: options.timeout,
        nonDestructive: options.nonDestructive === true,
        modules,
        outputDirectory: folder,
        ...(expectOops === undefined ? {} : { expectOops }),
        ...(diskMebibytes === undefined ? {} : { diskMebibytes }),
        ...(accelerator === undefined ? {} : { accelerator }),
      };
      const proof = await proveLivepatch(context, request);
      const proofPath = join(folder, `${name}.proof.json`);
      return { json: { proofPath, proof }, text: look => renderProof(proof, proofPath, look) };
    }),
  );
}

const bareWords = {
  status: 'the bug is there: the reproducer says so',
  crash: 'the bug is there: the kernel crashed',
  timeout: 'the bug is there: the reproducer did not end',
} as const satisfies Record<Proof['bare']['how'], string>;

function renderProof(proof: Proof, proofPath: string, look: Look): string {
  const { bare, patched, machine } = proof;
  const splats = (list: readonly ProofSplat[]): string[] =>
    list.map(splat => `${splat.headline}${splat.function === undefined ? '' : `, in ${splat.function}()`}`);
  return paragraphs([
    fields(look, [
      ['livepatch', proof.module],
      ['kernel', proof.kernel.release],
      [
        'machine',
        `QEMU ${machine.qemu}, ${machine.accelerator}, ${machine.cpus} processors, ${machine.memoryMiB} MiB`,
      ],
      ['time', `${proof.seconds.toFixed(1)} s`],
    ]),
    section(look, 'bare kernel', [bareWords[bare.how], ...splats(bare.splats)]),
    section(look, `patched kernel, boot ${patched.bootId}`, [
      ...tellPatchedBoot(patched),
      ...splats(patched.splats),
    ]),
    fields(look, [['proof', proofPath]]),
  ]);
}

/** @returns what happened, in the order in which it happened */
function tellPatchedBoot(patched: Proof['patched']): string[] {
  const runs = (when: ProofRun['when'], words: string): string[] =>
    patched.runs
      .filter(run => run.when === when)
      .map(({ bug, seconds }) => `${words}: the bug is ${bug} (${seconds.toFixed(1)} s)`);
  const load = (index: number, words: string): string[] =>
    patched.loads
      .slice(index, index + 1)
      .map(
        ({ insmodSeconds, transitionSeconds }) =>
          `${words} in ${insmodSeconds.toFixed(2)} s, transition ${transitionSeconds.toFixed(2)} s`,
      );
  return [
    ...runs('before', 'before it is loaded'),
    ...load(0, 'loaded'),
    ...runs('patched', 'patched'),
    `disabled in ${patched.disableSeconds.toFixed(2)} s, ${patched.reloaded ? 'removed' : 'and left there, for it may not be removed'}`,
    ...runs('disabled', 'disabled'),
    ...load(1, 'loaded again'),
    ...runs('reloaded', 'patched again'),
  ];
}
