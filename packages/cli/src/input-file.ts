import { createReadStream } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { inputError } from '@kstitch/host/files';
import { KstitchError } from '@kstitch/report/error';

/** What a file on the command line is for: its name in messages, and what it may have. Bytes. */
interface InputKind {
  readonly noun: string;
  readonly limit: number;
}

const MIB = 1024 * 1024;

/** Limits guard against the wrong file (`build vmlinux`); the real things are far smaller. */
export const inputKinds = {
  patch: { noun: 'patch', limit: 16 * MIB },
  reproducer: { noun: 'reproducer', limit: MIB },
  bundle: { noun: 'bundle', limit: 64 * MIB },
  livepatch: { noun: 'livepatch', limit: 256 * MIB },
  object: { noun: 'object', limit: 512 * MIB },
} as const satisfies Record<string, InputKind>;

/**
 * @param path - as typed; `-` is standard input
 * @param signal - ends the wait for a pipe that says nothing
 * @throws KstitchError - `input-unreadable`, `input-too-large`
 */
export async function readInput(path: string, kind: InputKind, signal: AbortSignal): Promise<Uint8Array> {
  const what = `read ${kind.noun} '${path}'`;
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    // Not readFile(): a pipe or /dev/zero has no size to look at first.
    const stream = addAbortSignal(signal, path === '-' ? process.stdin : createReadStream(path));
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > kind.limit) {
        const limit = (kind.limit / MIB).toFixed(0);
        throw new KstitchError(
          'input-too-large',
          `${what}: more than the ${limit} MiB that a ${kind.noun} may have`,
        );
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    throw signal.aborted ? error : inputError(what, error);
  }
}

/**
 * @param path - as typed; `-` is standard input
 * @returns the text; its UTF-8 encoding is the file, byte for byte
 * @throws KstitchError - `input-unreadable`, `input-too-large`, `input-not-text`
 */
export async function readInputText(path: string, kind: InputKind, signal: AbortSignal): Promise<string> {
  const bytes = await readInput(path, kind, signal);
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const again = Buffer.from(text);
  if (!again.equals(bytes) || bytes.includes(0)) {
    const at = bytes.findIndex((byte, index) => byte === 0 || byte !== again[index]);
    throw new KstitchError(
      'input-not-text',
      `read ${kind.noun} '${path}': not UTF-8 text, first at byte ${at}`,
    );
  }
  return text;
}
