/**
 * One process of the flavour's benchmark: opens a kit and what is indexed of it, in the cache that KSTITCH_CACHE names, and prints
 * one object of JSON. What the cache does not hold yet is made.
 *
 *   node bench/flavour-child.ts RELEASE
 */
import { loadCompileDatabase } from '@kstitch/build/compile/compile-database';
import { openImportIndex } from '@kstitch/build/kernel/import-index';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import { openKit } from '@kstitch/build/kit/kit';
import { openSourceIndex } from '@kstitch/build/patch/source-index';
import { silentContext } from '@kstitch/report/context';

export interface FlavourFigures {
  /** Seconds of wall and of the processor, from opening the kit on. */
  readonly wall: number;
  readonly processor: number;
  /** Of the whole process. */
  readonly peakMiB: number;
  readonly sources: number;
  readonly modules: number;
}

const [release = ''] = process.argv.slice(2);
const begin = performance.now();
const used = process.cpuUsage();
const context = silentContext();
const kit = await openKit(release);
const database = await loadCompileDatabase(kit);
await openSourceIndex(context, kit, database);
const kernel = await loadKernel(kit);
await openImportIndex(context, kernel);
const { user, system } = process.cpuUsage(used);
const figures: FlavourFigures = {
  wall: (performance.now() - begin) / 1000,
  processor: (user + system) / 1e6,
  peakMiB: process.resourceUsage().maxRSS / 1024,
  sources: database.sources.length,
  modules: kernel.modulePaths.size,
};
console.log(JSON.stringify(figures));
