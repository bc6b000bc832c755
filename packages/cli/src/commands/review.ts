import { writeAtomically } from '@kstitch/host/files';
import { ExitStatus } from '@kstitch/report/exit-status';
import type { Verdict } from '@kstitch/review/review';
import { type Command, Option } from 'commander';
import { finish, type Run, wholeNumber } from '../command-line.ts';
import { tuneForWork } from '../engine.ts';
import { chooseKit, type KernelOptions, withKernelOptions } from '../kernel-choice.ts';
import { readPatchWords, sortWords } from '../patch-words.ts';
import type { CommonOptions } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

interface ReviewOptions extends CommonOptions, PackageOptions, KernelOptions {
  readonly on?: readonly string[];
  readonly html?: string;
  readonly maxUnits?: number;
  readonly acceptLayout?: readonly string[];
}

const statusOf: Readonly<Record<Verdict, ExitStatus>> = {
  buildable: ExitStatus.done,
  refused: ExitStatus.refused,
  'no difference': ExitStatus.nothingToDo,
};

/** `kstitch review PATCH… --kernel RELEASE` */
export function addReview(program: Command, run: Run): void {
  const command = program
    .command('review')
    .summary('show what a patch would change in the running kernel')
    .description(
      'Tells what to know before signing a livepatch: the functions that change and why each does, who calls them in the ' +
        'shipped kernel, what they reach now and did not before, locks and references that are taken or given back, members ' +
        'of structures, cautions. Goes as far as a build would and writes no livepatch. Exits with 2 where a build would be ' +
        'refused and with 3 where the patch makes no functional difference; the review is printed all the same.',
    )
    .argument('[patch...]', 'source patches, as from diff -u or git; - is standard input')
    .option('--on <bundle.json...>', 'livepatches that it would contain, earliest first, as for build')
    .option('--html <file>', 'write the review, with source and code, as one HTML page besides')
    .addOption(
      new Option('--max-units <number>', 'refuse a patch that affects more units (default: 200)').argParser(
        wholeNumber(1, 100_000),
      ),
    )
    .addOption(
      new Option('--accept-layout <name>', 'as for build; may be given several times').argParser(
        (name: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), name],
      ),
    );
  withKernelOptions(command, 'kernel to review for');
  withPackageOptions(command);
  finish(command, [
    'kstitch review ext4.patch --kernel 6.1.0-55-cloud-amd64',
    'kstitch review ext4.patch --kernel 6.1.0-55-cloud-amd64 \\\n      --html review.html',
    'kstitch review net.patch --on out/kstitch_ext4_mballoc_1a2b3c4d.json \\\n      --kernel 6.1.0-55-cloud-amd64',
  ]);
  command.action((paths: readonly string[], options: ReviewOptions) =>
    run('review', options, async (context, shell) => {
      const { on, patches } = await readPatchWords(context, sortWords(paths, options.on));
      await ensureTools(context, shell, ['build'], options);
      const kit = await chooseKit(context, options);
      const { reviewPatch } = await import('@kstitch/build/review-patch');
      tuneForWork();
      const review = await reviewPatch(context, {
        patches,
        on,
        ...(options.maxUnits === undefined ? {} : { maxUnits: options.maxUnits }),
        ...(options.acceptLayout === undefined ? {} : { acceptLayout: options.acceptLayout }),
        release: kit.name,
        name: 'review',
      });
      if (options.html !== undefined) {
        const { renderReviewPage } = await import('@kstitch/review/render/page');
        await writeAtomically(options.html, renderReviewPage(review));
      }
      const { findings, ...json } = review;
      const { renderReviewText } = await import('@kstitch/review/render/text');
      context.diagnostics.push(...findings);
      return {
        json,
        text: look => renderReviewText(review, look),
        status: statusOf[review.verdict],
      };
    }),
  );
}
