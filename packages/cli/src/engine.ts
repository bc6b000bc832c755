import { setFlagsFromString } from 'node:v8';

/**
 * Makes V8 suit work of seconds on much data, as comparing objects is. To be called once the modules for it are loaded: V8 has
 * ready code, of node's own modules and of ours, for the options that it had at the start alone, so that a short command would pay
 * for options on the command line.
 */
export function tuneForWork(): void {
  // The options are V8's own: another version may not know them.
  if (!process.versions.node.startsWith('24.')) return;
  // A run is over before the code of the last tier has paid for its compilation; a long one still gets it.
  setFlagsFromString('--invocation-count-for-turbofan=40000');
  // Compilers in further threads take processor time from gcc, and more of it than they spare.
  setFlagsFromString('--no-concurrent-recompilation');
  // A header patch compares hundreds of units one after the other. Left to itself, the collector lets what is garbage pile up to a
  // multiple of what is in use before it looks.
  setFlagsFromString('--heap-growing-percent=50');
}
