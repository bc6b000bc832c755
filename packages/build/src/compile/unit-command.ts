import { moduleNameOf } from '@kstitch/kernel/module-name';
import { KstitchError } from '@kstitch/report/error';
import { type RecordedUnit, splitCommand } from '../kit/recorded-units.ts';
import { withoutDots } from '../patch/source-path.ts';

/** How kbuild compiles one unit. */
export interface UnitCommand {
  /** `virt/kvm/kvm_main.c` */
  readonly source: string;
  /** As the command names it, which `__FILE__` shows: `arch/x86/kvm/../../../virt/kvm/kvm_main.c`. */
  readonly spelling: string;
  /** `virt/kvm/kvm_main.o` */
  readonly object: string;
  /** The compiler driver: `gcc-12`. */
  readonly compiler: string;
  /** All that stands between the compiler and `-c -o OBJECT SOURCE`, without the request for a dependency file. */
  readonly args: readonly string[];
  readonly kind: 'c' | 'asm';
  readonly owner: UnitOwner;
}

/** What the unit becomes part of: the kernel itself, or modules, by name with `_` for `-`. */
export type UnitOwner = 'vmlinux' | readonly string[];

/**
 * @param recorded - one line of the kit's record
 * @throws KstitchError - `compile-database-damaged`
 */
export function parseUnitCommand({ object, modules, command }: RecordedUnit): UnitCommand {
  const damaged = (why: string) =>
    new KstitchError('compile-database-damaged', `read how '${object}' is compiled: ${why}`);
  const [compiler, ...words] = splitCommand(command);
  const spelling = words.at(-1);
  if (compiler === undefined || spelling === undefined || !/\.[cS]$/.test(spelling)) {
    throw damaged('the command names no source file');
  }
  if (!/^[\w.+-]+$/.test(compiler)) throw damaged(`'${compiler}' is no compiler's name`);
  const output = words.indexOf('-o');
  if (output === -1 || !words.includes('-c')) throw damaged('the command makes no object');
  const args = words.filter(
    (word, index) =>
      index !== output &&
      index !== output + 1 &&
      index !== words.length - 1 &&
      word !== '-c' &&
      !/^-Wp,-MM?D,/.test(word),
  );
  return {
    source: withoutDots(spelling),
    spelling,
    object: withoutDots(object),
    compiler,
    args,
    kind: spelling.endsWith('.S') ? 'asm' : 'c',
    owner: ownerOf(modules, args, object),
  };
}

/**
 * kbuild gives each unit of a module -DMODULE and, but for assembly, the module's name in KBUILD_MODNAME. Which modules it is
 * linked into is the better answer where the record has it: a unit may be part of several.
 */
function ownerOf(modules: readonly string[], args: readonly string[], object: string): UnitOwner {
  if (modules.length > 0) return modules.map(path => moduleNameOf(path));
  if (!args.includes('-DMODULE')) return 'vmlinux';
  const flag = '-DKBUILD_MODNAME=';
  const quoted = args.find(arg => arg.startsWith(flag))?.slice(flag.length);
  if (quoted === undefined) return [moduleNameOf(object)];
  return quoted.replaceAll('"', '').split(/[:\s]/);
}

/** Objects of folders that are linked into images of their own; their code never runs as kernel code. */
const imagesOfTheirOwn = [
  ['arch/x86/boot/', 'the boot loader stub'],
  ['arch/x86/realmode/rm/', 'the real-mode trampoline'],
  ['arch/x86/purgatory/', 'purgatory, which runs between two kernels'],
  ['drivers/firmware/efi/libstub/', 'the EFI boot stub'],
  ['usr/', 'the built-in initramfs'],
] as const;

/**
 * @returns what the unit becomes part of instead, when kbuild compiles it for something other than vmlinux or a module:
 *   `the vDSO`; undefined for kernel code
 */
export function outsideKernel(unit: UnitCommand): string | undefined {
  const image = imagesOfTheirOwn.find(([folder]) => unit.object.startsWith(folder));
  if (image !== undefined) return image[1];
  // arch/x86/entry/vdso/ holds kernel code as well (vma.c): only what is built for user space has the define.
  if (unit.args.includes('-DBUILD_VDSO') || unit.args.includes('-DBUILD_VDSO32')) return 'the vDSO';
  if (
    /^arch\/x86\/entry\/vdso\/(?:vdso32\/|vclock_gettime\.|vgetcpu\.|vdso-note\.|vsgx\.|vgetrandom)/.test(
      unit.object,
    )
  ) {
    return 'the vDSO';
  }
  if (!unit.args.includes('-D__KERNEL__')) return 'a program that the build itself runs';
  return undefined;
}
