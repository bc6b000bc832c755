import type { Machine } from './machine.ts';
import type { Stream } from './terminal.ts';

/** For tests: what a command has of the world, without ending the test's own process. */
export interface FakeStream extends Stream {
  text: string;
}

/** @returns a stream that keeps what is written, or fails at every write */
export function stream(failure?: NodeJS.ErrnoException): FakeStream {
  return {
    text: '',
    write(text, done) {
      if (failure === undefined) this.text += text;
      done?.(failure ?? null);
      return true;
    },
    on: () => undefined,
  };
}

export interface FakeMachine extends Machine {
  readonly stdout: FakeStream;
  readonly stderr: FakeStream;
  signal(name: NodeJS.Signals): void;
  readonly exits: number[];
}

/** @returns a machine without terminal whose signals the test sends, with an answer if somebody sits there */
export function machine(options: { stdout?: FakeStream; answer?: string } = {}): FakeMachine {
  const listeners = new Set<(name: NodeJS.Signals) => void>();
  const exits: number[] = [];
  return {
    stdout: options.stdout ?? stream(),
    stderr: stream(),
    env: {},
    startedAt: performance.now(),
    interactive: options.answer !== undefined,
    readLine: () => Promise.resolve(options.answer ?? ''),
    onSignal: listener => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: status => void exits.push(status),
    signal: name => listeners.forEach(listener => listener(name)),
    exits,
  };
}
