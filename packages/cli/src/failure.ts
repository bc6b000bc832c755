import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { KstitchError } from '@kstitch/report/error';

/** How much of a stack an ordinary reader is shown; `--debug` shows all of it. */
const MAX_FRAMES = 3;

/**
 * @param error - whatever was thrown
 * @param signal - the run's signal: once it is aborted, a failure is most likely a consequence of that, not a cause
 * @returns the error to show: itself, or what stands for it in the catalogue
 */
export function toKstitchError(error: unknown, signal?: AbortSignal): KstitchError {
  if (signal?.aborted === true) {
    const { reason } = signal;
    if (error === reason && error instanceof KstitchError) return error;
    const text = reason instanceof KstitchError ? reason.message : 'stopped by a signal';
    return new KstitchError('interrupted', text, { cause: error });
  }
  if (error instanceof KstitchError) return error;
  const message = error instanceof Error ? error.message : inspect(error);
  return new KstitchError('internal-error', `unexpected failure: ${message}`, {
    cause: error,
    notes: frames(error),
  });
}

/** @returns the stack and the causes of `error`, for `--debug` */
export function debugLines(error: KstitchError): string[] {
  return inspect(error, { depth: 6 }).split('\n');
}

/** @returns where it was thrown, with paths below the repository: the rest of a path says who the user is */
function frames(error: unknown): string[] {
  if (!(error instanceof Error) || error.stack === undefined) return [];
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  return error.stack
    .split('\n')
    .filter(line => /^\s+at /.test(line) && !line.includes('node:internal'))
    .slice(0, MAX_FRAMES)
    .map(line =>
      line.trim().replace(/(?:file:\/\/)?(\/[^():]+)/, (_, path: string) => {
        const below = relative(root, path);
        return below.startsWith('..') ? path : below;
      }),
    );
}
