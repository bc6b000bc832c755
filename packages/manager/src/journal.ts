/**
 * What kstitch did to the running kernel, one JSON object a line, synced to the disk before it goes on: each action has a
 * line when it begins and one when it has ended. An action that only began was killed, or the power went.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileError, makeDirectoryDurablySync, syncDirectory } from '@kstitch/host/files';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { readUptime } from './kernel-identity.ts';
import { limits } from './limits.ts';
import { Machine } from './machine.ts';

/**
 * `repair`: what an action that was killed left behind was looked at and written down. `install` and `uninstall` are about the
 * boots to come of the entry's kernel; `boot` is what became of the installed livepatch in this one.
 */
export type Action = 'load' | 'unload' | 'force' | 'repair' | 'reload' | 'install' | 'uninstall' | 'boot';

/** How an action ends that the kernel did not even begin. */
export const notBegun = 'not begun';

/** What changes nothing in the kernel by itself. */
export const aboutBoots: readonly Action[] = ['install', 'uninstall', 'boot'];

export interface JournalEntry {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Seconds since boot, which no set clock changes; older versions did not write it. */
  readonly uptime?: number;
  /** The boot it happened in. */
  readonly boot: string;
  readonly kernel: string;
  readonly action: Action;
  readonly livepatch: string;
  /** Of `reload`: the module that is loaded again. */
  readonly target?: string;
  /** The same in both lines of an action. */
  readonly id: string;
  /** `step` stands between the two: the livepatch is disabled, its module not yet removed. */
  readonly phase: 'begin' | 'step' | 'end';
  /** How it ended, or which step it was: `attested`, `reversed`, `removed`, `disabled`, a code of the catalogue … */
  readonly result?: string;
  /** Whatever helps to understand it later. */
  readonly notes?: readonly string[];
}

const phases: readonly string[] = ['begin', 'step', 'end'] satisfies JournalEntry['phase'][];
const actions: readonly string[] = [
  'load',
  'unload',
  'force',
  'repair',
  'reload',
  'install',
  'uninstall',
  'boot',
] satisfies Action[];

export interface JournalText {
  readonly entries: readonly JournalEntry[];
  /** Lines that are none of ours, or were cut off when the power went. */
  readonly damagedLines: number;
}

export class Journal {
  readonly path: string;
  readonly #machine: Machine;

  /** @param machine - whose actions are written down */
  constructor(stateDirectory: string, machine: Machine = new Machine()) {
    this.#machine = machine;
    this.path = join(stateDirectory, 'journal');
  }

  /** @throws KstitchError - `machine-unreadable`, `machine-not-root` */
  read(): JournalText {
    const entries: JournalEntry[] = [];
    let damagedLines = 0;
    const text = Buffer.from(new Machine().readBytes(this.path, limits.journal) ?? '').toString('utf8');
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const entry = parseEntry(line);
      if (entry === undefined) damagedLines++;
      else entries.push(entry);
    }
    return { entries, damagedLines };
  }

  /** @returns when a line is written, as far as the line tells */
  now(): Pick<JournalEntry, 'at'> & { readonly uptime: number } {
    return { at: new Date().toISOString(), uptime: readUptime(this.#machine) };
  }

  /**
   * @returns when it is on the disk
   * @throws KstitchError - `host-disk-full`, `host-file-failed`
   */
  append(entry: JournalEntry): void {
    try {
      makeDirectoryDurablySync(dirname(this.path), 0o700);
      const file = openSync(this.path, 'a+', 0o600);
      try {
        // A line that was cut off must not swallow this one.
        const lead = endsWithLine(file) ? '' : '\n';
        // Not writeSync(), which on a disk that becomes full may write a part and say nothing.
        writeFileSync(file, `${lead}${JSON.stringify(entry)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      // It may have been made just now.
      syncDirectory(dirname(this.path));
    } catch (error) {
      throw fileError(`write '${this.path}'`, error);
    }
  }

  /** As {@link append}; what cannot be written is a caution, one a run. */
  appendIfPossible(entry: JournalEntry, diagnostics: Diagnostic[]): void {
    try {
      this.append(entry);
    } catch (error) {
      if (!(error instanceof KstitchError)) throw error;
      if (!diagnostics.some(({ code }) => code === 'journal-incomplete'))
        diagnostics.push(diagnostic('journal-incomplete', {}, error.message));
    }
  }
}

/** Which kernel an entry is about, and the boot it is written in. */
export interface JournalKernel {
  readonly release: string;
  readonly bootId: string;
}

/** One action while it goes on. */
export interface JournalAction {
  step(result: string, notes?: readonly string[]): void;
  end(result: string, notes?: readonly string[]): void;
}

/**
 * Writes that an action begins. What cannot be written later on, because the disk is full by then, is a caution: the kernel must
 * not be left half way for the sake of a line. An `unload` or `uninstall` begins even so: who takes a
 * livepatch back may have every reason to.
 *
 * @throws KstitchError - `host-disk-full`, `host-file-failed`: nothing was begun
 */
export function beginAction(
  journal: Journal,
  kernel: JournalKernel,
  action: Action,
  livepatch: string,
  diagnostics: Diagnostic[],
  target?: string,
): JournalAction {
  const entry = entryWriter(journal, kernel, action, livepatch, target);
  if (action === 'unload' || action === 'uninstall') journal.appendIfPossible(entry('begin'), diagnostics);
  else journal.append(entry('begin'));
  return {
    step: (result, notes) => journal.appendIfPossible(entry('step', result, notes), diagnostics),
    end: (result, notes) => journal.appendIfPossible(entry('end', result, notes), diagnostics),
  };
}

/** Writes one line for what took no time of its own: how the boot's load went on. What cannot be written is a caution. */
export function recordEvent(
  { journal, kernel }: { readonly journal: Journal; readonly kernel: JournalKernel },
  action: Action,
  livepatch: string,
  diagnostics: Diagnostic[],
  result: string,
  notes: readonly string[] = [],
): void {
  const entry = entryWriter(journal, kernel, action, livepatch);
  journal.appendIfPossible(entry('end', result, notes), diagnostics);
}

/** @returns what makes the lines of one action */
function entryWriter(
  journal: Journal,
  kernel: JournalKernel,
  action: Action,
  livepatch: string,
  target?: string,
) {
  const id = randomBytes(4).toString('hex');
  return (phase: JournalEntry['phase'], result?: string, notes: readonly string[] = []): JournalEntry => ({
    ...journal.now(),
    boot: kernel.bootId,
    kernel: kernel.release,
    action,
    livepatch,
    ...(target === undefined ? {} : { target }),
    id,
    phase,
    ...(result === undefined ? {} : { result }),
    ...(notes.length === 0 ? {} : { notes }),
  });
}

/** @returns the actions of this boot that began and did not end; meant for whoever holds the lock */
export function findUnfinished(entries: readonly JournalEntry[], bootId: string): JournalEntry[] {
  const open = new Map<string, JournalEntry>();
  for (const entry of entries) {
    if (entry.boot !== bootId) continue;
    if (entry.phase === 'begin') open.set(entry.id, entry);
    if (entry.phase === 'end') open.delete(entry.id);
  }
  return [...open.values()];
}

function parseEntry(line: string): JournalEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { at, uptime, boot, kernel, action, livepatch, target, id, phase, result, notes } = value as Record<
    string,
    unknown
  >;
  const texts = [at, boot, kernel, action, livepatch, id, phase];
  if (!texts.every(text => typeof text === 'string')) return undefined;
  if (!phases.includes(String(phase)) || !actions.includes(String(action))) return undefined;
  if (Number.isNaN(Date.parse(String(at)))) return undefined;
  return {
    at: String(at),
    ...(typeof uptime === 'number' ? { uptime } : {}),
    boot: String(boot),
    kernel: String(kernel),
    action: action as Action,
    livepatch: String(livepatch),
    ...(typeof target === 'string' ? { target } : {}),
    id: String(id),
    phase: phase as JournalEntry['phase'],
    ...(typeof result === 'string' ? { result } : {}),
    ...(Array.isArray(notes) ? { notes: notes.map(String) } : {}),
  };
}

function endsWithLine(file: number): boolean {
  const { size } = fstatSync(file);
  if (size === 0) return true;
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last[0] === 0x0a;
}
