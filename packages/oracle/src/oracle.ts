/**
 * A second opinion on a finished livepatch, by code that shares nothing with what made it: files are read through readelf
 * and objdump, and all rules are written down here again.
 *
 * It starts from the module: every function and object in it is paired with the one of the compiled unit that it should be
 * a copy of, and the two are held against each other, byte by byte and relocation by relocation, along whatever they
 * refer to. Then the other way round: what the unit has in special tables, what the patch changes, and what the module says
 * that no unit accounts for.
 */
import { readFile } from 'node:fs/promises';
import { fileError } from '@kstitch/host/files';
import { compareDiagnostics, type Diagnostic } from '@kstitch/report/diagnostic';
import type { JudgedUnit } from './judged-unit.ts';
import { parseExports, parseKlpSymbol } from './kernel-symbols.ts';
import { type Figures, ModuleJudge } from './module-judge.ts';
import { type ObjectText, readObjectText } from './object-text.ts';
import { placeUnit } from './placed-unit.ts';
import type { Question, QuestionedKernel, QuestionedUnit } from './question.ts';
import { openVmlinux, type Shipped, shippedModule } from './shipped.ts';
import { readTables } from './special-tables.ts';
import { findTwins, type Side } from './twins.ts';
import { readUnitParts } from './unit-parts.ts';

export interface Opinion {
  /** Sorted; empty when the module does what the source says. Each is an `oracle-disagrees`. */
  readonly findings: readonly Diagnostic[];
  readonly figures: Figures;
}

/**
 * @throws KstitchError - `oracle-unreadable`, `host-tool-missing` and the like when it could not look
 */
export async function consultOracle(question: Question, signal: AbortSignal): Promise<Opinion> {
  const { kernel } = question;
  const [module, symvers] = await Promise.all([
    readObjectText(question.module, signal),
    readText(kernel.symvers),
  ]);
  const shipped = new Map<string, Shipped>();
  try {
    for (const name of objectsLookedUp(module, question.units)) {
      const one = await openShipped(kernel, name, signal);
      if (one !== undefined) shipped.set(name, one);
    }
    const units = await readUnits(question.units, shipped, signal);
    const judge = new ModuleJudge({ module, units, shipped, exports: parseExports(symvers) });
    const findings = judge.run().toSorted(compareDiagnostics);
    return { findings, figures: judge.figures };
  } finally {
    for (const one of shipped.values()) one.close();
  }
}

/** Units that are read at a time, each with two runs of readelf. */
const unitsAtOnce = 2;

async function readUnits(
  questions: readonly QuestionedUnit[],
  shipped: ReadonlyMap<string, Shipped>,
  signal: AbortSignal,
): Promise<readonly JudgedUnit[]> {
  const units: JudgedUnit[] = [];
  for (let i = 0; i < questions.length; i += unitsAtOnce)
    units.push(
      ...(await Promise.all(
        questions.slice(i, i + unitsAtOnce).map(unit => readUnit(unit, shipped.get(unit.gate), signal)),
      )),
    );
  return units;
}

/** The unit before the patch is let go of again: what it says is in the twins and in the places. */
async function readUnit(
  question: QuestionedUnit,
  shipped: Shipped | undefined,
  signal: AbortSignal,
): Promise<JudgedUnit> {
  const [before, after] = await Promise.all([
    readSide(question.before, signal),
    readSide(question.after, signal),
  ]);
  return {
    question,
    after,
    twins: findTwins(before, after),
    placed: shipped && placeUnit(before.unit, before.tables, shipped),
  };
}

async function readSide(path: string, signal: AbortSignal): Promise<Side> {
  const unit = await readUnitParts(path, signal);
  return { unit, tables: readTables(unit) };
}

/** vmlinux, and the modules in which livepatch would search for symbols. */
function objectsLookedUp(module: ObjectText, units: readonly QuestionedUnit[]): ReadonlySet<string> {
  const names = module.symbols.flatMap(({ name }) => parseKlpSymbol(name)?.object ?? []);
  return new Set(['vmlinux', ...units.map(unit => unit.gate), ...names]);
}

async function openShipped(
  kernel: QuestionedKernel,
  name: string,
  signal: AbortSignal,
): Promise<Shipped | undefined> {
  if (name === 'vmlinux') return await openVmlinux(kernel.vmlinux, each => kernel.named(each), signal);
  const path = await kernel.module(name);
  return path === undefined ? undefined : shippedModule(name, await readObjectText(path, signal));
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch((error: unknown) => {
    throw fileError(`read '${path}'`, error);
  });
}
