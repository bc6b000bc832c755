import { DEFAULT_COLUMNS, type Look } from '@kstitch/report/render-text';
import type { ProgressMode } from './terminal-progress.ts';

/** What of a stream decides how it is written to: `process.stdout` and `process.stderr`, or a stand-in. */
export interface Stream {
  write(text: string, done?: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(env?: NodeJS.ProcessEnv): boolean;
}

/** @returns how `stream` looks now; colour only on a terminal, never with NO_COLOR */
export function lookOf(stream: Stream, env: NodeJS.ProcessEnv): Look {
  const terminal = stream.isTTY === true;
  return {
    columns: (terminal ? stream.columns : undefined) || DEFAULT_COLUMNS,
    colour: terminal && !env['NO_COLOR'] && stream.hasColors?.(env) === true,
    unicode: isUnicodeLocale(env),
  };
}

/** @returns `live` on a terminal that can move its cursor, `lines` elsewhere */
export function progressModeOf(stream: Stream, env: NodeJS.ProcessEnv): ProgressMode {
  return stream.isTTY === true && env['TERM'] !== 'dumb' && env['TERM'] !== undefined ? 'live' : 'lines';
}

/** The first of these that is set decides, as for setlocale(3). */
function isUnicodeLocale(env: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '');
}

/**
 * Writes and waits until the bytes are with the system, so that a following exit loses none.
 *
 * @throws Error - the system's: `ENOSPC` for a full disk. A reader that went away (`EPIPE`, as with `| head`) is no error: it has
 *   seen enough.
 */
export async function writeAll(stream: Stream, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(text, error => {
      if (error === undefined || error === null || isBrokenPipe(error)) resolve();
      else reject(error);
    });
  });
}

export function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE';
}
