import { buildCodes } from './catalogue/build.ts';
import { cliCodes } from './catalogue/cli.ts';
import { diffCodes } from './catalogue/diff.ts';
import { elfCodes } from './catalogue/elf.ts';
import type { CatalogueEntry } from './catalogue/entry.ts';
import { hostCodes } from './catalogue/host.ts';
import { kernelCodes } from './catalogue/kernel.ts';
import { kitCodes } from './catalogue/kit.ts';
import { layoutCodes } from './catalogue/layout.ts';
import { livepatchCodes } from './catalogue/livepatch.ts';
import { managerCodes } from './catalogue/manager.ts';
import { oracleCodes } from './catalogue/oracle.ts';
import { patchCodes } from './catalogue/patch.ts';
import { vmCodes } from './catalogue/vm.ts';

/**
 * Every code kstitch can print, by the area that prints it. docs/diagnostics.md is written from this table
 * (`npm run docs`) and a test compares the two.
 */
export const catalogueByArea = {
  'Command line': cliCodes,
  'This machine': hostCodes,
  'Kernel kit': kitCodes,
  'ELF files': elfCodes,
  'Kernel images': kernelCodes,
  Patches: patchCodes,
  'Compiling and building': buildCodes,
  'Comparing and selecting': diffCodes,
  'Types that unpatched code shares': layoutCodes,
  'The livepatch module': livepatchCodes,
  'A second opinion': oracleCodes,
  'Virtual machines and proofs': vmCodes,
  'The running kernel': managerCodes,
} as const;

const catalogue = {
  ...cliCodes,
  ...hostCodes,
  ...kitCodes,
  ...elfCodes,
  ...kernelCodes,
  ...patchCodes,
  ...buildCodes,
  ...diffCodes,
  ...layoutCodes,
  ...livepatchCodes,
  ...oracleCodes,
  ...vmCodes,
  ...managerCodes,
} as const;

export type Code = keyof typeof catalogue;

/**
 * @param code - a code of the catalogue
 * @returns its entry: kind, meaning, help, example
 */
export function describeCode(code: Code): CatalogueEntry {
  return catalogue[code];
}
