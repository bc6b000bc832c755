/** Whether the parts of a kernel that somebody built himself are of one build. */
import { buildId } from '@kstitch/elf/notes';
import type { Banner } from '@kstitch/kernel/banner';
import { parseConfig } from '@kstitch/kernel/config';
import { readKallsyms } from '@kstitch/kernel/kallsyms';
import type { KernelImage } from '@kstitch/kernel/kernel-image';
import { compareWithKallsyms, readSymtab } from '@kstitch/kernel/symtab-symbols';
import { KstitchError } from '@kstitch/report/error';

/** What the folder says of the build, as texts. */
export interface OwnBuild {
  /** `.config` */
  readonly config: string;
  /** `include/config/auto.conf`: the configuration that was compiled. */
  readonly compiledConfig: string;
  /** `include/generated/utsrelease.h` */
  readonly utsRelease: string;
  /** `include/generated/utsversion.h` */
  readonly utsVersion: string;
}

/** What a kernel must have been configured with for livepatches to be built and loaded. */
const neededOptions = [
  'CONFIG_LIVEPATCH',
  'CONFIG_DEBUG_INFO_BTF',
  'CONFIG_UNWINDER_ORC',
  'CONFIG_KALLSYMS_ALL',
] as const;
const maxOptionsShown = 10;

/**
 * @param compressed - the image inside bzImage, which is what boots
 * @returns every way in which they are not one build, in words; none when they are
 */
export function compareOwnParts(
  build: OwnBuild,
  vmlinux: KernelImage,
  banner: Banner,
  compressed: KernelImage,
): readonly string[] {
  const found: string[] = [];
  const differ = (what: string, inFolder: string | undefined, inVmlinux: string | undefined) => {
    if (inFolder !== inVmlinux)
      found.push(`${what}: '${inFolder ?? 'none'}', vmlinux has '${inVmlinux ?? 'none'}'`);
  };
  differ(
    'release in include/generated/utsrelease.h',
    defined('UTS_RELEASE', build.utsRelease),
    banner.release,
  );
  differ('build in include/generated/utsversion.h', defined('UTS_VERSION', build.utsVersion), banner.build);
  found.push(...compareBuildIds(buildId(compressed.elf), buildId(vmlinux.elf)));

  const config = parseConfig(build.config);
  const compiled = parseConfig(build.compiledConfig);
  const compilerOption = compiled.get('CONFIG_CC_VERSION_TEXT');
  differ('compiler in include/config/auto.conf', compilerOption, banner.compiler.text);
  const options = [...new Set([...config.values.keys(), ...compiled.values.keys()])].filter(
    option => config.get(option) !== compiled.get(option),
  );
  for (const option of options.slice(0, maxOptionsShown)) {
    found.push(
      `${option}: '${config.get(option) ?? 'not set'}' in .config, '${compiled.get(option) ?? 'not set'}' as compiled`,
    );
  }
  if (options.length > maxOptionsShown)
    found.push(
      `${options.length - maxOptionsShown} more options differ between .config and what was compiled`,
    );

  const symtab = readSymtab(vmlinux);
  const parts = symtab && compareWithKallsyms(symtab, readKallsyms(vmlinux));
  if (parts !== undefined) found.push(`symbols of vmlinux: ${parts}`);
  return found;
}

/** Of the image in bzImage and of vmlinux: two that tell none may be any two. */
export function compareBuildIds(
  inImage: string | undefined,
  inVmlinux: string | undefined,
): readonly string[] {
  if (inImage === inVmlinux && inImage !== undefined) return [];
  const both = `'${inImage ?? 'none'}', vmlinux has '${inVmlinux ?? 'none'}'`;
  return [`build id of the image in bzImage: ${both}`];
}

/**
 * The vermagic holds more than the release: SMP, preemption, what modversions and struct randomization say. Modules of one build
 * have one text.
 *
 * @param vermagics - of each module, by path
 * @returns every module that is of another build than the release or than the modules before it
 */
export function compareVermagics(
  release: string,
  vermagics: ReadonlyMap<string, string | undefined>,
): readonly string[] {
  const found: string[] = [];
  let first: readonly [path: string, vermagic: string] | undefined;
  for (const [path, vermagic] of vermagics) {
    const built = vermagic?.split(' ')[0];
    if (vermagic === undefined || built !== release)
      found.push(`module '${path}' was built for '${built ?? 'none'}'`);
    else if (first === undefined) first = [path, vermagic];
    else if (vermagic !== first[1])
      found.push(`vermagic of module '${path}': '${vermagic}', '${first[0]}' has '${first[1]}'`);
  }
  return found;
}

/** @throws KstitchError - `own-kernel-config` */
export function checkOwnConfig(directory: string, text: string): void {
  const config = parseConfig(text);
  const lacking = neededOptions.filter(option => !config.isSet(option));
  if (lacking.length === 0) return;
  throw new KstitchError(
    'own-kernel-config',
    `use the kernel in '${directory}': it was configured without ${lacking.join(', ')}`,
  );
}

/** @returns the text that a header defines a name as */
export function defined(name: string, header: string): string | undefined {
  return new RegExp(`^#define ${name} "(.*)"$`, 'm').exec(header)?.[1];
}
