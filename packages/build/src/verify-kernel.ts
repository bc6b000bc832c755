import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { placeUnit } from '@kstitch/diff/run-pre/place-unit';
import { readUnit } from '@kstitch/diff/unit/read-unit';
import { readElf } from '@kstitch/elf/read';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { VMLINUX } from '@kstitch/livepatch/plan';
import type { Context } from '@kstitch/report/context';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { cachedCompile } from './compile/cached-compile.ts';
import { type CompileDatabase, loadCompileDatabase } from './compile/compile-database.ts';
import { compileAll } from './compile/compile-unit.ts';
import { compareToolchain } from './compile/compiler.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import { loadKernel, type ShippedKernel } from './kernel/load-kernel.ts';
import { openKit } from './kit/kit.ts';

export interface VerifyRequest {
  /** How many units to take. */
  readonly sample: number;
  /** Which: the same seed takes the same units. */
  readonly seed: number;
}

/** How much of a sample was found again in the shipped kernel. */
export interface KernelVerification {
  readonly units: number;
  readonly matched: number;
  readonly functions: number;
  /** Relocations whose targets agree with the shipped symbol table. */
  readonly relocations: number;
  /** What speaks against this machine's compiler and linker. */
  readonly tools: readonly Diagnostic[];
  /** The units that do not match, with what speaks against each. */
  readonly failures: readonly {
    readonly unit: string;
    readonly object: string;
    readonly findings: readonly Diagnostic[];
  }[];
}

/**
 * Compiles a sample of units as Debian did and looks for each in the shipped kernel: whether compiler, configuration and
 * source of the kit are the right ones.
 *
 * @throws KstitchError - `kit-absent`, `host-tool-missing`, and what compiling throws
 */
export async function verifyKernel(
  context: Context,
  release: string,
  request: VerifyRequest,
): Promise<KernelVerification> {
  const kernel = await context.progress.step('read the kernel', async () =>
    loadKernel(await openKit(release)),
  );
  // With another compiler nothing is built; where its code differs is what somebody who has it wants to know.
  const { toolchain, findings: tools } = await compareToolchain(
    context.signal,
    kernel.kit.workshop,
    kernel.banner,
  );
  const units = sampleUnits(await loadCompileDatabase(kernel.kit), request);
  const result = { units: 0, matched: 0, functions: 0, relocations: 0 };
  const failures = await withTemporaryDirectory('verify', async work => {
    const jobs = units.map((unit, i) => ({
      label: `compile and match ${unit.source}`,
      work: async () => {
        const bytes = await cachedCompile(context, kernel.kit, unit, {
          output: join(work, `${i}.o`),
          toolchain,
        });
        return await matchUnit(kernel, unit, bytes);
      },
    }));
    return (await compileAll(context, jobs)).flat();
  });
  for (const match of failures) {
    result.units += 1;
    result.functions += match.functions;
    result.relocations += match.relocations;
    if (match.findings.length === 0) result.matched += 1;
  }
  return {
    ...result,
    tools,
    failures: failures
      .filter(match => match.findings.length > 0)
      .map(({ unit, object, findings }) => ({ unit, object, findings })),
  };
}

interface UnitMatch {
  readonly unit: string;
  readonly object: string;
  readonly functions: number;
  readonly relocations: number;
  readonly findings: readonly Diagnostic[];
}

async function matchUnit(
  kernel: ShippedKernel,
  command: UnitCommand,
  bytes: Uint8Array,
): Promise<readonly UnitMatch[]> {
  const unit = readUnit(readElf(bytes, command.object), command.source, x86_64, kernel.entrySizes);
  const matches: UnitMatch[] = [];
  for (const object of command.owner === 'vmlinux' ? [VMLINUX] : command.owner) {
    const shipped = object === VMLINUX ? kernel.vmlinux : await kernel.module(object);
    const { placement, diagnostics } = placeUnit(unit, shipped, x86_64);
    const { functions, relocations } = placement.figures;
    matches.push({ unit: command.source, object, functions, relocations, findings: diagnostics });
  }
  return matches;
}

/**
 * @returns distinct C units of kernel code, drawn by the seed, sorted by source
 */
export function sampleUnits(
  database: CompileDatabase,
  { sample, seed }: VerifyRequest,
): readonly UnitCommand[] {
  const units = database.units().filter(unit => unit.kind === 'c');
  const random = mulberry32(seed);
  // Fisher-Yates, as far as the sample goes.
  for (let i = 0; i < Math.min(sample, units.length); i += 1) {
    const j = i + Math.floor(random() * (units.length - i));
    [units[i], units[j]] = [units[j] as UnitCommand, units[i] as UnitCommand];
  }
  return units.slice(0, sample).sort((a, b) => (a.source < b.source ? -1 : 1));
}

/** A small random generator (Tommy Ettinger's Mulberry32): the same numbers on every machine. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
