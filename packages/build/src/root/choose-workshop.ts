import type { Banner } from '@kstitch/kernel/banner';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { versionOf } from '../compile/compiler.ts';
import type { BuildRoot } from './build-root.ts';
import { type Suite, suiteOf } from './suites.ts';
import { inRoot, thisMachine, type Workshop } from './workshop.ts';

/** @param compiler - package of the compiler: `gcc-14` */
export type RootMaker = (context: Context, suite: Suite, compiler: string) => Promise<BuildRoot>;

/**
 * Where a kernel is compiled: on this machine when its compiler and linker are the very ones that the kernel was built with, else in
 * a build root of the kernel's Debian release.
 *
 * @throws KstitchError - as `rootMaker`
 */
export async function chooseWorkshop(
  context: Context,
  release: string,
  banner: Pick<Banner, 'compiler' | 'linker'>,
  rootMaker: RootMaker,
): Promise<Workshop> {
  const { program, text } = banner.compiler;
  const suite = suiteOf(release);
  // Debian 12 calls it by its own name, 13 as a cross compiler.
  const compilerPackage = /^(?:x86_64-linux-gnu-)?(gcc-\d+)$/.exec(program)?.[1];
  if (suite === undefined || compilerPackage === undefined) return thisMachine;
  const [compiler, linker] = [await ownVersion(context, program), await ownVersion(context, 'ld')];
  if (compiler === text && linker === banner.linker.text) return thisMachine;
  context.progress.note(
    `this machine has '${compiler ?? `no ${program}`}' and '${linker ?? 'no ld'}': the kernel is compiled in a build root of '${suite.name}'`,
  );
  return inRoot(await rootMaker(context, suite, compilerPackage));
}

async function ownVersion(context: Context, program: string): Promise<string | undefined> {
  try {
    return await versionOf(thisMachine, program, context.signal);
  } catch (error) {
    if (error instanceof KstitchError && error.code === 'host-tool-missing') return undefined;
    throw error;
  }
}
