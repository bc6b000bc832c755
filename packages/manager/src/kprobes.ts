import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

export interface Kprobe {
  /** `vmlinux` or a module's name. */
  readonly object: string;
  readonly symbol: string;
  /** Bytes from the beginning of the function. */
  readonly offset: number;
  /** At the entry of the function, by way of ftrace: it is hit before livepatch leads the call elsewhere. */
  readonly byFtrace: boolean;
}

/** @returns the probes that are set; none when debugfs is not mounted (kernel/kprobes.c: report_probe()) */
export function readKprobes(machine: Machine): Kprobe[] {
  const probes: Kprobe[] = [];
  for (const line of machine.lines('/sys/kernel/debug/kprobes/list', limits.kprobes)) {
    // ffffffffa92369a5  k  ext4_mb_load_buddy_gfp+0x5    [FTRACE]
    const match =
      /^[0-9a-fx]+\s+[kr]\s+(\S+)\+0x([0-9a-f]+)(?:\/0x[0-9a-f]+)?\s*([A-Za-z0-9_]*)\s*(.*)$/.exec(line);
    if (match === null) continue;
    const [, symbol = '', offset = '', module = '', marks = ''] = match;
    if (marks.includes('[GONE]')) continue;
    probes.push({
      object: module === '' ? 'vmlinux' : module,
      symbol,
      offset: Number.parseInt(offset, 16),
      byFtrace: marks.includes('[FTRACE]'),
    });
  }
  return probes;
}
