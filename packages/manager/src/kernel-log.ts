import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, type Machine } from './machine.ts';

/** Of one record, in bytes (kernel/printk/printk.c: CONSOLE_EXT_LOG_MAX). */
const maxRecord = 8192;
/** Records that are looked at; the ring buffer of Debian's kernels holds some thousands. */
const maxRecords = 100_000;

/**
 * @param since - seconds since boot
 * @returns what the kernel logged since then and that has one of the words in it; nothing where its log may not be read
 */
export function readKernelLog(machine: Machine, since: number, words: readonly string[]): string[] {
  const found: string[] = [];
  let file: number | undefined;
  try {
    // eslint-disable-next-line no-bitwise -- open flags are bits
    file = openSync(join(machine.root, 'dev/kmsg'), constants.O_RDONLY | constants.O_NONBLOCK);
    const buffer = Buffer.alloc(maxRecord);
    for (let records = 0; records < maxRecords; records++) {
      let length: number;
      try {
        length = readSync(file, buffer);
      } catch (error) {
        // Overtaken by newer records: the next read goes on behind the gap.
        if (codeOf(error) === 'EPIPE') continue;
        throw error;
      }
      if (length === 0) break;
      // `3,812,33812345,-;livepatch: …`: priority, number, microseconds since boot
      const record = buffer.toString('utf8', 0, length);
      const [, microseconds = '', text = ''] = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(record) ?? [];
      if (Number(microseconds) / 1e6 >= since && words.some(word => text.includes(word))) found.push(text);
    }
  } catch {
    // EAGAIN at the end, or no right to read it: the log only helps to understand an error that is told anyhow.
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return found.slice(-12);
}
