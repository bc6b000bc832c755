import { editPatch } from './edit-patch.ts';
import { testRelease } from './kit.ts';

/**
 * Patches of a test kernel for trials of loading and unloading: `ext4` blocks nothing, whoever waits for a pipe sleeps in
 * the function that `pipe` patches, and a kernel thread never leaves the one that `kthreadd` patches.
 */
export async function blockerPatches(
  release = testRelease,
): Promise<Readonly<Record<'ext4' | 'pipe' | 'kthreadd', string>>> {
  const [ext4, pipe, kthreadd] = await Promise.all([
    editPatch(
      'fs/ext4/mballoc.c',
      '\tmb_debug(sb, "load group %u\\n", group);\n',
      '\tif (unlikely(group == ~0U))\n\t\treturn -EIO;\n\tmb_debug(sb, "load group %u\\n", group);\n',
      release,
    ),
    editPatch(
      'fs/pipe.c',
      '\tif (unlikely(total_len == 0))\n\t\treturn 0;\n\n\tret = 0;\n',
      '\tif (unlikely(total_len == 0 || total_len > MAX_RW_COUNT))\n\t\treturn 0;\n\n\tret = 0;\n',
      release,
    ),
    editPatch(
      'kernel/kthread.c',
      '\tset_task_comm(tsk, "kthreadd");\n',
      '\tset_task_comm(tsk, "kthreadd+");\n',
      release,
    ),
  ]);
  return { ext4, pipe, kthreadd };
}

/** @returns a patch of the test kernel that takes the machine down when /proc/version is read, 2 s after that was read first */
export async function deadlyPatch(): Promise<string> {
  const head = 'static int version_proc_show(struct seq_file *m, void *v)\n{\n';
  return await editPatch(
    'fs/proc/version.c',
    head,
    `${head}\tstatic unsigned long first;\n\n\tif (!first)\n\t\tfirst = jiffies;\n\tif (time_after(jiffies, first + 2 * HZ))\n\t\tpanic("the trial's end");\n`,
  );
}
