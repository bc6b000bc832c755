import { KstitchError } from '@kstitch/report/error';
import type { Command } from 'commander';
import { finish, packageVersion, type Run } from '../command-line.ts';
import type { CommonOptions } from '../run-command.ts';
import { ensureTools, type PackageOptions, withPackageOptions } from '../system-packages.ts';

/** `kstitch delta FROM TO [FILE…]` */
export function addDelta(program: Command, run: Run): void {
  const command = program
    .command('delta')
    .summary('print the source difference between two Debian kernel versions')
    .description(
      'Prints, as a patch, what differs between the sources of two Debian kernel versions: all of it, or the files and folders named.',
    )
    .argument('<from>', 'Debian version that is running, such as 6.1.192-1', packageVersion)
    .argument('<to>', 'Debian version that has the fix', packageVersion)
    .argument('[files...]', 'files or folders below the top of the kernel source');
  withPackageOptions(command);
  finish(command, ['kstitch delta 6.1.192-1 6.1.192-2 fs/ext4/mballoc.c > ext4.patch']);
  command.action(
    (from: string, to: string, files: readonly string[], options: CommonOptions & PackageOptions) =>
      run('delta', options, async (context, shell) => {
        if (from === to) throw nothingDiffers(from, to, files);
        await ensureTools(context, shell, ['kit'], options);
        const { kernelDelta } = await import('@kstitch/build/delta');
        const patch = await kernelDelta(context, from, to, files);
        if (patch === '') throw nothingDiffers(from, to, files);
        return { json: { from, to, files, patch }, text: () => patch };
      }),
  );
}

function nothingDiffers(from: string, to: string, files: readonly string[]): KstitchError {
  const where = files.length === 0 ? '' : ` in ${files.map(file => `'${file}'`).join(', ')}`;
  return new KstitchError('delta-empty', `nothing differs between '${from}' and '${to}'${where}`);
}
