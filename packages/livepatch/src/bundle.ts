/**
 * `NAME.json`: what `kstitch build` knows about the livepatch it wrote. Deterministic, written by `build` alone; every
 * other command reads it through {@link parseBundle}, the one parser. docs: "A livepatch bundle".
 */
import { createHash } from 'node:crypto';
import { callbackKinds } from '@kstitch/kernel/klp-callbacks';
import { KstitchError } from '@kstitch/report/error';
import * as v from 'valibot';
import {
  count,
  integer,
  list,
  name,
  objectName,
  parseDocument,
  record,
  sha256,
  table,
  text,
} from './document.ts';
import { MAX_STATE_NUMBER } from './plan.ts';

export const BUNDLE_SCHEMA = 'kstitch/bundle/1';

/** In characters; the largest real bundle, 409 references, has some 60 thousand. The patches in it may have 16 MiB. */
const MAX_BUNDLE_LENGTH = 64 * 1024 * 1024;

const patchedFunction = record({
  name,
  sympos: count,
  /** Path below the kernel source. */
  unit: text,
  /**
   * `changed`: its code differs. `cold`: only its `.cold` part does, which can be reached in no other way. `calls`: it
   * calls a function that differs and cannot be redirected itself. `identity`: nothing differs, and it is carried to test
   * kstitch.
   */
  why: v.picklist(['changed', 'cold', 'calls', 'identity']),
});

/** A function that livepatch calls while it patches or unpatches the object. */
const callback = record({ kind: v.picklist(callbackKinds), name, unit: text });

/** What the livepatch changes besides code; whatever replaces it has to name the same id with no lower version. */
const state = record({
  id: integer(1, MAX_STATE_NUMBER),
  version: integer(0, MAX_STATE_NUMBER),
  unit: text,
});

const bundle = record({
  schema: v.literal(BUNDLE_SCHEMA),
  /** The kstitch that built it. */
  kstitch: text,
  /** The module's name; its file is `<module>.ko`. */
  module: objectName,
  /** Of the module without a signature. */
  sha256,
  kernel: record({
    /** It becomes a part of paths. */
    release: v.pipe(v.string(), v.regex(/^[0-9][A-Za-z0-9.+~_-]{0,63}$/)),
    /** Version of the distribution's package: `6.1.192-1`. */
    packageVersion: name,
    /** Build id of the shipped vmlinux, lower-case hex; empty where it has none. */
    buildId: v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2}){0,64}$/)),
  }),
  objects: list(record({ name: objectName, functions: list(patchedFunction), callbacks: list(callback) })),
  states: list(state),
  /** Units whose functions are carried unchanged; such a livepatch has no patches. */
  identity: v.optional(
    list(
      record({
        unit: text,
        object: objectName,
        /** Functions that are carried. */
        carried: count,
        /** Functions that are not; `why` is `init-code`, `not-wanted`, or the code of what would be refused. */
        leftOut: list(record({ name, why: name })),
      }),
    ),
    [],
  ),
  /** Functions and data that the running kernel has not: `name` in the module. */
  newSymbols: list(record({ name, unit: text, kind: v.picklist(['function', 'data']) })),
  /** What livepatch looks up in the running kernel. */
  references: list(
    record({
      object: objectName,
      name,
      sympos: count,
      gate: objectName,
      /** Relocations that refer to it. */
      count,
    }),
  ),
  /** Exports of the kernel that the module links to. */
  exportedSymbols: list(name),
  /** In the order of applying, those of earlier livepatches first. */
  patches: list(
    record({
      name: text,
      sha256,
      /** The whole patch, one character a byte (latin1), so that a livepatch can be built on this one wherever the bundle is. */
      text: v.pipe(v.string(), v.regex(/^[\0-\xff]*$/)),
    }),
  ),
  /** Changed types that the author answers for, so that a livepatch built on this one need not be told again. */
  acceptedLayouts: v.optional(
    list(
      record({
        /** As --accept-layout had it, without `struct` or `union`. */
        name,
        /** What changes: another change of the same type is not accepted by this. */
        change: text,
      }),
    ),
    [],
  ),
  cves: list(v.pipe(v.string(), v.regex(/^CVE-\d{4}-\d{4,}$/))),
  toolchain: record({
    compiler: text,
    linker: text,
    /** The Debian packages that it was compiled with where those were not this machine's own. */
    root: v.optional(record({ suite: text, packages: list(record({ name: text, version: text })) })),
  }),
  /** How much of the affected units was found again in the shipped image. */
  runPre: record({
    units: count,
    functions: count,
    /** Relocations compared with the shipped image. */
    relocations: count,
    jumpLabelSites: count,
    /** Functions of before and as-shipped that differ by the width of jumps and nothing else. */
    widthOnlyDifferences: count,
  }),
  /** Entries carried into the module, by section. */
  specialSections: table(count),
  /** `.klp.rela.*` entries, which Linux 6.1 pays for one by one when it loads the module. */
  klpRelocations: count,
  replace: v.boolean(),
  unload: record({ verdict: v.picklist(['safe', 'unsafe']), reasons: list(text) }),
  /** What to mind when a patched module is removed and loaded again. */
  reload: list(text),
  cautions: list(text),
});

const kind = {
  kind: 'bundle',
  malformed: 'bundle-malformed',
  otherSchema: 'bundle-schema',
  schemaName: BUNDLE_SCHEMA,
  maxLength: MAX_BUNDLE_LENGTH,
  schema: bundle,
} as const;

export type Bundle = v.InferOutput<typeof bundle>;
export type AcceptedLayout = Bundle['acceptedLayouts'][number];
export type BundleFunction = v.InferOutput<typeof patchedFunction>;

/**
 * @param json - contents of `NAME.json`
 * @param what - the file's name, for messages
 * @throws KstitchError - `bundle-malformed` with notes on the fields that are wrong, `bundle-schema` when another version
 *   of kstitch wrote it
 */
export function parseBundle(json: string, what: string): Bundle {
  const parsed = parseDocument(kind, json, what);
  const wrong = parsed.patches.findIndex(patch => sha256Of(patchBytes(patch)) !== patch.sha256);
  if (wrong !== -1)
    throw new KstitchError('bundle-malformed', `cannot read bundle '${what}': a patch is damaged`, {
      notes: [`patches.${wrong}: its text has another sha256 than it says`],
    });
  return parsed;
}

/** @returns the source patches that a livepatch was built from, byte for byte */
export function patchesOf(bundle: Bundle): readonly { readonly name: string; readonly bytes: Uint8Array }[] {
  return bundle.patches.map(patch => ({ name: patch.name, bytes: patchBytes(patch) }));
}

function patchBytes(patch: { readonly text: string }): Uint8Array {
  return Buffer.from(patch.text, 'latin1');
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * @returns the text of `NAME.json`: keys in the order of the schema, so that equal bundles are equal bytes
 * @throws KstitchError - `bundle-malformed` where {@link parseBundle} could not read it back
 */
export function formatBundle(value: Bundle): string {
  const checked = parseBundle(JSON.stringify(value), `${value.module}.json`);
  const specialSections = Object.fromEntries(
    Object.entries(checked.specialSections).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  return `${JSON.stringify({ ...checked, specialSections }, undefined, 2)}\n`;
}

/** @returns the CVE numbers that a patch names, each once, sorted by year and number */
export function findCves(patch: string): string[] {
  const found = new Set(
    Array.from(patch.matchAll(/\bCVE-(\d{4})-(\d{4,19})\b/gi), ([cve]) => cve.toUpperCase()),
  );
  return [...found].toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
