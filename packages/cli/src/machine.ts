import { createInterface } from 'node:readline/promises';
import { type Stream } from './terminal.ts';

/** What a command has of the world besides the stages: streams, environment, signals. Tests hand in their own. */
export interface Machine {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: NodeJS.ProcessEnv;
  /** When the run began, on the clock of `performance.now()`. */
  readonly startedAt: number;
  /** Whether somebody is there to answer a question. */
  readonly interactive: boolean;
  /** @returns the line typed after `question`, without its line break */
  readLine(question: string, signal: AbortSignal): Promise<string>;
  /** Calls `listener` for SIGINT, SIGTERM and SIGHUP. @returns a function that ends that */
  onSignal(listener: (name: NodeJS.Signals) => void): () => void;
  /** Ends the process at once. */
  exit(status: number): void;
}

const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const satisfies readonly NodeJS.Signals[];

/** This process, as a {@link Machine}. */
export function thisProcess(): Machine {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    startedAt: 0, // the clock begins with the process: starting node is part of the run
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    readLine: async (question, signal) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      // readline takes Ctrl-C for itself while it owns the terminal.
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      try {
        return await lines.question(question, { signal });
      } finally {
        lines.close();
      }
    },
    onSignal: listener => {
      for (const name of endingSignals) process.on(name, listener);
      return () => {
        for (const name of endingSignals) process.off(name, listener);
      };
    },
    exit: status => process.exit(status),
  };
}
