/**
 * A fixed sample of a flavour's units, each compiled as a build compiles it: as shipped, before and after a patch. The patch turns
 * round two assignments in include/linux/list.h, which changes some function of most units.
 */
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadCompileDatabase } from '@kstitch/build/compile/compile-database';
import { compileThrice } from '@kstitch/build/compile/compile-thrice';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import type { Kit } from '@kstitch/build/kit/kit';
import { applyPatches } from '@kstitch/build/patch/apply-patch';
import { sampleUnits } from '@kstitch/build/verify-kernel';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { silentContext } from '@kstitch/report/context';

/** The largest units of a cloud flavour. The first one's object with function sections has a megabyte. */
const largeUnits = ['arch/x86/kvm/x86.c', 'kernel/sched/fair.c', 'mm/page_alloc.c', 'fs/ext4/mballoc.c'];
const sampleSize = 120;

const patch = `--- a/include/linux/list.h
+++ b/include/linux/list.h
@@ -34,6 +34,6 @@
  */
 static inline void INIT_LIST_HEAD(struct list_head *list)
 {
-	WRITE_ONCE(list->next, list);
 	WRITE_ONCE(list->prev, list);
+	WRITE_ONCE(list->next, list);
 }
@@ -153,6 +153,6 @@
 static inline void list_del(struct list_head *entry)
 {
 	__list_del_entry(entry);
-	entry->next = LIST_POISON1;
-	entry->prev = LIST_POISON2;
+	entry->next = LIST_POISON2;
+	entry->prev = LIST_POISON1;
 }
`;

/** One unit of the sample; the paths of its objects. */
export interface SampleUnit {
  readonly source: string;
  /** The object of the kernel that it is part of: `vmlinux` or a module. */
  readonly owner: string;
  readonly asShipped: string;
  readonly before: string;
  readonly after: string;
}

export interface Sample {
  /** A unit whose objects have a megabyte each. */
  readonly largest: SampleUnit;
  /** The units drawn from the whole flavour. */
  readonly drawn: readonly SampleUnit[];
}

/** @returns the sample, from the cache where it was compiled before; that takes some minutes */
export async function differSample(kit: Kit): Promise<Sample> {
  const folder = join(cacheDirectory(), 'bench', `${kit.release}-${kit.packageVersion}`);
  const index = join(folder, 'units.json');
  const known = await readFile(index, 'utf8').catch(() => undefined);
  if (known === undefined) await compileSample(kit, folder);
  const units = JSON.parse(known ?? (await readFile(index, 'utf8'))) as SampleUnit[];
  const [largest, ...rest] = units;
  if (largest === undefined) throw new RangeError(`'${index}' names no units`);
  return { largest, drawn: rest.slice(largeUnits.length - 1) };
}

async function compileSample(kit: Kit, folder: string): Promise<void> {
  const context = silentContext();
  const toolchain = await checkCompiler(context, kit.workshop, (await loadKernel(kit)).banner);
  const database = await loadCompileDatabase(kit);
  const drawn = sampleUnits(database, { sample: sampleSize, seed: 1 });
  const units = [...largeUnits.flatMap(source => database.unit(source) ?? []), ...drawn];
  const applied = await applyPatches(context, kit, [
    { name: 'list.patch', bytes: Buffer.from(patch, 'latin1') },
  ]);

  await mkdir(join(folder, '..'), { recursive: true });
  const partial = await mkdtemp(`${folder}.partial-`);
  const work = join(partial, 'work');
  await mkdir(work);
  const objects = await compileThrice(context, kit, toolchain, applied, units, work);
  await rm(work, { recursive: true });
  const index: SampleUnit[] = [];
  for (const [i, { source, owner }] of units.entries()) {
    const paths = { asShipped: '', before: '', after: '' };
    for (const way of ['asShipped', 'before', 'after'] as const) {
      const name = `${i}.${way}.o`;
      await writeFile(join(partial, name), objects[i]?.[way] ?? '');
      paths[way] = join(folder, name);
    }
    index.push({ source, owner: owner === 'vmlinux' ? owner : (owner[0] ?? ''), ...paths });
  }
  await writeFile(join(partial, 'units.json'), JSON.stringify(index));
  await rename(partial, folder);
}
