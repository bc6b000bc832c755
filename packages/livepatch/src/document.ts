/**
 * What the files beside a livepatch have in common: JSON of one schema that is named in it, written by one command and not
 * trusted by the others.
 */
import type { Code } from '@kstitch/report/catalogue';
import { KstitchError } from '@kstitch/report/error';
import * as v from 'valibot';
import { kernelLimits } from './kernel-limits.ts';

/** In characters, of any text that is not a symbol: a path, a caution, a line of a log. */
const MAX_TEXT_LENGTH = 4096;

/** In characters, of what a message takes out of the file, which may hold anything of any length. */
const MAX_QUOTE_LENGTH = 200;

/**
 * In characters. Of a longer file only the first wrong field is looked for: what is known about each takes a kilobyte, and there
 * may be one in every two characters.
 */
const MAX_LISTED_LENGTH = 256 * 1024;

/** Notes about wrong fields. */
const MAX_LISTED = 50;

export const text = v.pipe(v.string(), v.maxLength(MAX_TEXT_LENGTH));
export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(kernelLimits.symbolName));
/** Name of a module, and so of a livepatch or of what it patches. */
export const objectName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_]{1,55}$/));
export const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
/** A time span. */
export const seconds = v.pipe(v.number(), v.finite(), v.minValue(0));
export const integer = (least: number, most: number = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
export const count = integer(0);
export const list = <const T extends v.GenericSchema>(item: T) => v.pipe(v.array(item), v.readonly());
/** These fields and no others. */
export const record = <const T extends v.ObjectEntries>(fields: T) =>
  v.pipe(v.strictObject(fields), v.readonly());

/** From any names. An array would pass for one whose names are numbers. */
export const table = <const T extends v.GenericSchema>(item: T) =>
  v.pipe(
    v.unknown(),
    v.check(value => !Array.isArray(value), 'Invalid type: Expected Object but received Array'),
    v.record(name, item),
    v.readonly(),
  );

/** A kind of file. */
export interface DocumentKind<T> {
  /** For messages. */
  readonly kind: string;
  /** Code for a file that is not what it should be. */
  readonly malformed: Code;
  /** Code for a file of another version's schema. */
  readonly otherSchema: Code;
  /** Of the version that is read: `kstitch/bundle/1`. */
  readonly schemaName: string;
  /** In characters. */
  readonly maxLength: number;
  readonly schema: v.GenericSchema<unknown, T>;
}

/**
 * @param json - contents of the file
 * @param what - the file's name, for messages
 * @throws KstitchError - with the code `malformed` and notes on the fields that are wrong, with `otherSchema` when another version
 *   of kstitch wrote it
 */
export function parseDocument<T>(
  { kind, malformed, otherSchema, schemaName, maxLength, schema }: DocumentKind<T>,
  json: string,
  what: string,
): T {
  const head = `cannot read ${kind} '${what}'`;
  if (json.length > maxLength)
    throw new KstitchError(malformed, `${head}: longer than ${maxLength} characters`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new KstitchError(malformed, `${head}: not JSON`, { cause });
  }
  const itself = v.safeParse(v.looseObject({ schema: v.string() }), value);
  if (itself.success && itself.output.schema !== schemaName)
    throw new KstitchError(
      otherSchema,
      `${head}: its schema is '${shorten(itself.output.schema)}', this kstitch knows '${schemaName}'`,
    );
  const abortEarly = json.length > MAX_LISTED_LENGTH;
  const parsed = v.safeParse(schema, value, { abortEarly, abortPipeEarly: true });
  if (parsed.success) return parsed.output;
  const { issues } = parsed;
  const notes = issues.slice(0, MAX_LISTED).map(issue => describeIssue(issue, kind));
  if (issues.length > MAX_LISTED) notes.push(`and ${issues.length - MAX_LISTED} more`);
  const wrong = abortEarly
    ? 'at least 1 field is'
    : `${issues.length} ${issues.length === 1 ? 'field is' : 'fields are'}`;
  throw new KstitchError(malformed, `${head}: ${wrong} wrong`, { notes });
}

function describeIssue(issue: v.BaseIssue<unknown>, kind: string): string {
  return `${shorten(v.getDotPath(issue) || kind)}: ${shorten(issue.message)}`;
}

function shorten(text: string): string {
  return text.length > MAX_QUOTE_LENGTH ? `${text.slice(0, MAX_QUOTE_LENGTH)}…` : text;
}
