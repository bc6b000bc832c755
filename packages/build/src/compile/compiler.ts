import type { Banner } from '@kstitch/kernel/banner';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, diagnostic, Refusal, stopOnRefusals } from '@kstitch/report/diagnostic';
import type { Workshop } from '../root/workshop.ts';

export interface Toolchain {
  /** How the compiler is called: `gcc-12`. */
  readonly program: string;
  /** As it names itself: `gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0`. */
  readonly compiler: string;
  readonly linker: string;
}

/**
 * Makes sure that the compiler at hand is the one that the kernel's banner names, to the letter: Debian changes code
 * generation between revisions of one upstream version, too.
 *
 * @returns the tools as they name themselves, for the record
 * @throws KstitchError - `wrong-compiler` naming both, `host-tool-missing`; another linker is a caution (`linker-differs`)
 */
export async function checkCompiler(
  context: Context,
  workshop: Workshop,
  banner: Pick<Banner, 'compiler' | 'linker'>,
): Promise<Toolchain> {
  const { toolchain, findings } = await compareToolchain(context.signal, workshop, banner);
  stopOnRefusals(findings);
  context.diagnostics.push(...findings);
  return toolchain;
}

/**
 * @returns the tools as they name themselves, and what speaks against them
 * @throws KstitchError - `wrong-compiler` where the banner names no program, `host-tool-missing`
 */
export async function compareToolchain(
  signal: AbortSignal,
  workshop: Workshop,
  banner: Pick<Banner, 'compiler' | 'linker'>,
): Promise<{ readonly toolchain: Toolchain; readonly findings: readonly Diagnostic[] }> {
  const { program, text: wanted } = banner.compiler;
  if (!/^[\w.+-]+$/.test(program)) {
    throw new Refusal([
      diagnostic('wrong-compiler', {}, `the kernel was built with '${wanted}', which names no program`),
    ]);
  }
  const compiler = await versionOf(workshop, program, signal);
  const linker = await versionOf(workshop, 'ld', signal);
  const has =
    workshop.root === undefined ? 'this machine has' : `the build root of '${workshop.root.suite}' has`;
  const findings: Diagnostic[] = [];
  if (compiler !== wanted) {
    findings.push(
      diagnostic('wrong-compiler', {}, `the kernel was built with '${wanted}', ${has} '${compiler}'`),
    );
  }
  if (linker !== banner.linker.text) {
    const text = `the kernel was linked with '${banner.linker.text}', ${has} '${linker}'`;
    findings.push(diagnostic('linker-differs', {}, text));
  }
  return { toolchain: { program, compiler, linker }, findings };
}

/** @returns how a program names itself */
export async function versionOf(workshop: Workshop, program: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await workshop.run(program, ['--version'], { signal });
  return stdout.split('\n')[0]?.trim() ?? '';
}
