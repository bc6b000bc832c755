import { lookOf, progressModeOf } from '@kstitch/cli/terminal';
import { TerminalProgress } from '@kstitch/cli/terminal-progress';
import type { Context } from '@kstitch/report/context';

/**
 * What a run by hand works with: progress on standard error, and an end at Ctrl-C with whatever is under way. What is done is kept.
 *
 * @returns the context, and its progress to be closed before a result is printed
 */
export function openDriverContext(): Context & { readonly progress: TerminalProgress } {
  const stop = new AbortController();
  const interrupt = () => {
    stop.abort();
    process.exit(130);
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const progress = new TerminalProgress({
    mode: progressModeOf(process.stderr, process.env),
    write: text => void process.stderr.write(text),
    look: () => lookOf(process.stderr, process.env),
  });
  return { progress, signal: stop.signal, diagnostics: [] };
}
