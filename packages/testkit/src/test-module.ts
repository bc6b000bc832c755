/** Modules that are none of the kernel's, built against the headers that Debian ships for a kernel. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@kstitch/host/run';
import { testKit } from './kit.ts';

/**
 * @param directory - where the sources lie and a makefile that says `obj-m`; the modules are written there
 */
export async function buildModules(directory: string, release?: string): Promise<void> {
  const { kit } = await testKit(release);
  await run('make', ['-C', kit.paths.headers, `M=${directory}`, 'modules']);
}

/**
 * Sets a kprobe with a post_handler, for which ftrace has to redirect the function: livepatch cannot then, and the other way round.
 *
 * @param directory - an empty folder
 * @returns the module `post_handler`; its parameter `symbol` is the function
 */
export async function buildPostHandler(directory: string): Promise<Uint8Array> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'Makefile'), 'obj-m := post_handler.o\n');
  await writeFile(join(directory, 'post_handler.c'), postHandler);
  await buildModules(directory);
  return await readFile(join(directory, 'post_handler.ko'));
}

const postHandler = `
#include <linux/kprobes.h>
#include <linux/module.h>

static void after(struct kprobe *probe, struct pt_regs *registers, unsigned long flags)
{
}

static char symbol[128];
static struct kprobe probe = { .symbol_name = symbol, .post_handler = after };
module_param_string(symbol, symbol, sizeof(symbol), 0444);

static int __init set(void)
{
	return register_kprobe(&probe);
}

static void __exit take_away(void)
{
	unregister_kprobe(&probe);
}

module_init(set);
module_exit(take_away);
MODULE_LICENSE("GPL");
`;
