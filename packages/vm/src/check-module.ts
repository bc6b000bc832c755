/** Before anything is booted: the module is a livepatch, for this kernel, and the one that its description is about. */
import { createHash } from 'node:crypto';
import { EM, ET } from '@kstitch/elf/constants';
import { readElf } from '@kstitch/elf/read';
import { readModinfo } from '@kstitch/kernel/modinfo';
import { KstitchError } from '@kstitch/report/error';

export interface LivepatchModule {
  /** For messages. */
  readonly path: string;
  /** Its name, without `.ko`. */
  readonly name: string;
  /** Of `bytes`, as the bundle has it. */
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

/**
 * @param release - of the kernel that it will be loaded into
 * @throws KstitchError - `prove-module-changed`, `prove-module-foreign`, `elf-*` where it is no ELF file or cut off
 */
export function checkLivepatchModule(module: LivepatchModule, release: string): void {
  const { path, name, bytes } = module;
  const foreign = (problem: string) =>
    new KstitchError('prove-module-foreign', `read livepatch '${path}': ${problem}`);

  const elf = readElf(bytes, path);
  if (elf.header.e_type !== ET.REL || elf.header.e_machine !== EM.X86_64) {
    throw foreign(
      `it is not a kernel module for x86-64 (e_type ${elf.header.e_type}, e_machine ${elf.header.e_machine})`,
    );
  }
  const modinfo = readModinfo(elf);
  const found = modinfo.get('name');
  if (found === undefined) throw foreign('it is not a kernel module: it does not say its name');
  if (modinfo.get('livepatch') !== 'Y') throw foreign(`the module '${found}' is not a livepatch`);
  if (found !== name) throw foreign(`it is the livepatch '${found}', not '${name}'`);

  // `6.1.0-55-cloud-amd64 SMP preempt mod_unload modversions `
  const vermagic = modinfo.get('vermagic')?.split(' ', 1)[0] ?? '';
  if (vermagic !== release) throw foreign(`it is built for the kernel '${vermagic}', not for '${release}'`);

  const sum = createHash('sha256').update(bytes).digest('hex');
  if (sum !== module.sha256) {
    throw new KstitchError(
      'prove-module-changed',
      `read livepatch '${path}': its sha256 is '${sum}', its description says '${module.sha256}'`,
    );
  }
}
