import { readFile } from 'node:fs/promises';
import type { PlacementFailure } from './kernel-result.ts';

/** By path of the source, or of a folder with `/` at its end: why a unit is not what the shipped kernel holds. */
export type Causes = Readonly<Record<string, string>>;

/** What a person found who looked at the units that were not placed: matrix/causes.json. */
export async function readCauses(): Promise<Causes> {
  return JSON.parse(await readFile(new URL('causes.json', import.meta.url), 'utf8')) as Causes;
}

/** @returns the known cause; undefined when nobody has looked yet */
export function explainFailure(failure: PlacementFailure, causes: Causes): string | undefined {
  const folder = Object.keys(causes).find(path => path.endsWith('/') && failure.unit.startsWith(path));
  return causes[failure.unit] ?? (folder === undefined ? undefined : causes[folder]);
}
