/**
 * What the guest says on its second serial port: lines for kstitch, framed with this run's nonce, and whatever the script of
 * the run prints.
 *
 * ```
 * @5f1c0a… step load up=7.21 boot=3f0e… tainted=0 @5f1c0a…
 * @5f1c0a… text insmod insmod: can't insert '/kstitch/livepatch.ko': invalid parameters @5f1c0a…
 * wrote 8 MiB
 * ```
 *
 * A frame without its end is the part of one that was interrupted: it comes once more, as a whole. So may one that had arrived.
 */
import { MAX_GUEST_LINE, MAX_LOG_BYTES } from './settings.ts';

export interface Frame {
  /** `step`, `loaded`, `reproducer`, `text`, `done` … */
  readonly kind: string;
  /** First word behind the kind: the step's name, the text's key; empty where there is none. */
  readonly name: string;
  /** Everything behind the name. */
  readonly rest: string;
  /** The words `key=value` of `rest`. */
  readonly values: ReadonlyMap<string, string>;
}

export interface GuestChannelEvents {
  readonly onFrame: (frame: Frame) => void;
  /** A line that the guest's script printed. */
  readonly onOutput: (line: string) => void;
}

/** Takes the port's bytes in pieces, as they arrive. */
export class GuestChannel {
  readonly #begin: string;
  readonly #end: string;
  #last = '';
  readonly #events: GuestChannelEvents;
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #bytes = 0;

  /** @param nonce - hexadecimal, new for every run: what a script prints cannot be taken for a frame by accident */
  constructor(nonce: string, events: GuestChannelEvents) {
    this.#begin = `@${nonce} `;
    this.#end = ` @${nonce}`;
    this.#events = events;
  }

  push(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    // A script may print for ever without a line break.
    this.#rest = (lines.pop() ?? '').slice(0, MAX_GUEST_LINE);
    for (const line of lines) this.#take(line);
  }

  end(): void {
    if (this.#rest !== '') this.#take(this.#rest);
    this.#rest = '';
  }

  #take(whole: string): void {
    const line = whole.replace(/\r+$/, '').slice(0, MAX_GUEST_LINE);
    if (line.startsWith(this.#begin)) {
      this.#takeFrame(line);
      return;
    }
    // Every frame begins with a line break, so empty lines say nothing.
    if (line === '') return;
    this.#bytes += line.length;
    if (this.#bytes <= MAX_LOG_BYTES) this.#events.onOutput(line);
  }

  #takeFrame(line: string): void {
    if (!line.endsWith(this.#end) || line === this.#last) return;
    this.#last = line;
    this.#events.onFrame(parseFrame(line.slice(this.#begin.length, -this.#end.length)));
  }
}

function parseFrame(text: string): Frame {
  const [kind = '', name = ''] = text.split(' ', 2);
  const rest = text.slice(kind.length + 1 + name.length + 1);
  const words = [name, ...rest.split(' ')].flatMap(word => {
    const at = word.indexOf('=');
    return at <= 0 ? [] : [[word.slice(0, at), word.slice(at + 1)] as const];
  });
  return { kind, name, rest, values: new Map(words) };
}

/** @returns the number that stands behind `key=`, undefined where there is none */
export function numberIn(frame: Frame | undefined, key: string): number | undefined {
  const value = frame?.values.get(key);
  return value !== undefined && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : undefined;
}
