import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { type Bundle, findCves, formatBundle, parseBundle, patchesOf } from './bundle.ts';

const bundle: Bundle = {
  schema: 'kstitch/bundle/1',
  kstitch: '0.1.0',
  module: 'kstitch_ext4_mballoc_1a2b3c4d',
  sha256: 'a'.repeat(64),
  kernel: { release: '6.1.0-55-cloud-amd64', packageVersion: '6.1.192-1', buildId: '00ff' },
  objects: [
    {
      name: 'vmlinux',
      functions: [{ name: 'ext4_mb_load_buddy_gfp', sympos: 0, unit: 'fs/ext4/mballoc.c', why: 'changed' }],
      callbacks: [{ kind: 'post_unpatch', name: 'ext4_mb_forget', unit: 'fs/ext4/mballoc.c' }],
    },
  ],
  states: [{ id: 1, version: 2, unit: 'fs/ext4/mballoc.c' }],
  identity: [
    {
      unit: 'fs/ext4/mballoc.c',
      object: 'vmlinux',
      carried: 70,
      leftOut: [{ name: 'ext4_init_mballoc', why: 'init-code' }],
    },
  ],
  newSymbols: [{ name: 'ext4_mb_helper', unit: 'fs/ext4/mballoc.c', kind: 'function' }],
  references: [{ object: 'vmlinux', name: '_rs.24', sympos: 1, gate: 'vmlinux', count: 2 }],
  exportedSymbols: ['__fentry__'],
  patches: [
    {
      name: 'ext4.patch',
      sha256: createHash('sha256').update('a\xff\n', 'latin1').digest('hex'),
      text: 'a\xff\n',
    },
  ],
  acceptedLayouts: [{ name: 's', change: 'its size' }],
  cves: ['CVE-2024-1086'],
  toolchain: { compiler: 'gcc-12 12.2.0-14', linker: 'GNU ld 2.40' },
  runPre: { units: 1, functions: 74, relocations: 1024, jumpLabelSites: 12, widthOnlyDifferences: 0 },
  specialSections: { __mcount_loc: 2, __bug_table: 1 },
  klpRelocations: 9,
  replace: true,
  unload: { verdict: 'safe', reasons: [] },
  reload: [],
  cautions: [],
};

test('formatBundle() and parseBundle() are inverse', () => {
  const text = formatBundle(bundle);
  assert.deepEqual(parseBundle(text, 'a.json'), bundle);
  assert.ok(text.endsWith('}\n'));
});

test('a bundle names the packages of the build root that it was made in', () => {
  const root = { suite: 'trixie', packages: [{ name: 'gcc-14', version: '14.2.0-19' }] };
  const inRoot: Bundle = { ...bundle, toolchain: { ...bundle.toolchain, root } };
  assert.deepEqual(parseBundle(formatBundle(inRoot), 'a.json'), inRoot);
  const broken = JSON.stringify({ ...bundle, toolchain: { ...bundle.toolchain, root: { suite: 'trixie' } } });
  assert.throws(() => parseBundle(broken, 'a.json'), { code: 'bundle-malformed' });
});

test('formatBundle() gives equal bundles equal bytes, whatever order they were put together in', () => {
  const reversed = Object.fromEntries(Object.entries(bundle).toReversed()) as unknown as Bundle;
  const shuffled = { ...reversed, specialSections: { __bug_table: 1, __mcount_loc: 2 } };
  assert.equal(formatBundle(shuffled), formatBundle(bundle));
  assert.match(formatBundle(bundle), /^\{\n {2}"schema": "kstitch\/bundle\/1",\n {2}"kstitch"/);
  assert.match(formatBundle(bundle), /__bug_table[^}]*__mcount_loc/);
});

test('patchesOf() gives the bytes of the patches back', () => {
  const [patch] = patchesOf(parseBundle(formatBundle(bundle), 'a.json'));
  assert.deepEqual([...(patch?.bytes ?? [])], [0x61, 0xff, 0x0a]);
  assert.equal(patch?.name, 'ext4.patch');
});

test('parseBundle() refuses a patch that is not the one of its hash', () => {
  const patches = bundle.patches.map(patch => ({ ...patch, text: 'b\n' }));
  assert.throws(() => parseBundle(JSON.stringify({ ...bundle, patches }), 'a.json'), {
    code: 'bundle-malformed',
    notes: ['patches.0: its text has another sha256 than it says'],
  });
});

test('formatBundle() writes nothing that parseBundle() would refuse', () => {
  assert.throws(() => formatBundle({ ...bundle, sha256: 'short' }), { code: 'bundle-malformed' });
});

for (const [what, change, path] of [
  ['a missing field', { kernel: undefined }, 'kernel'],
  ['an unknown field', { extra: 1 }, 'extra'],
  ['a wrong hash', { sha256: 'A'.repeat(64) }, 'sha256'],
  ['a negative count', { klpRelocations: -1 }, 'klpRelocations'],
  ['a path as module name', { module: '../../etc/passwd' }, 'module'],
  [
    'a wrong element',
    { objects: [{ name: 'vmlinux', functions: [{ name: 'f' }] }] },
    'objects.0.functions.0.sympos',
  ],
  ['an array as a table', { specialSections: [1] }, 'specialSections'],
  ['a state without a number', { states: [{ id: 0, version: 1, unit: 'a.c' }] }, 'states.0.id'],
] as const) {
  test(`parseBundle() names the place of ${what}`, () => {
    assert.throws(
      () => parseBundle(JSON.stringify({ ...bundle, ...change }), 'a.json'),
      (error: { code: string; notes: readonly string[] }) => {
        assert.equal(error.code, 'bundle-malformed');
        assert.ok(
          error.notes.some(note => note.includes(path)),
          error.notes.join('\n'),
        );
        return true;
      },
    );
  });
}

test('what parseBundle() says about a file is short, whatever is in it', () => {
  const notesOf = (change: object): readonly string[] => {
    try {
      parseBundle(JSON.stringify({ ...bundle, ...change }), 'a.json');
    } catch (error) {
      assert.ok(error instanceof KstitchError);
      return [error.message, ...error.notes];
    }
    return [];
  };
  const head = "cannot read bundle 'a.json': ";
  // One that is wrong in two ways is one.
  assert.deepEqual(notesOf({ klpRelocations: -0.5 }).slice(0, 1), [`${head}1 field is wrong`]);
  assert.match(notesOf({ '': 1 })[1] ?? '', /^bundle: /);
  for (const change of [
    { ['k'.repeat(9999)]: 1 },
    { specialSections: { ['k'.repeat(9999)]: 1 } },
    { module: 'k'.repeat(9999) },
    { schema: 'k'.repeat(9999) },
  ])
    assert.ok(notesOf(change).join('').length < 600);
  const some = notesOf({ cautions: Array.from({ length: 60 }, () => 0) });
  assert.deepEqual([some[0], some.length, some.at(-1)], [`${head}60 fields are wrong`, 52, 'and 10 more']);
  const many = notesOf({ cautions: Array.from({ length: 500_000 }, () => 0) });
  assert.deepEqual(many, [
    `${head}at least 1 field is wrong`,
    'cautions.0: Invalid type: Expected string but received 0',
  ]);
});

test('parseBundle() tells another version from a damaged file', () => {
  assert.throws(() => parseBundle(JSON.stringify({ ...bundle, schema: 'kstitch/bundle/2' }), 'a.json'), {
    code: 'bundle-schema',
  });
  assert.throws(() => parseBundle('{"schema": ', 'a.json'), {
    code: 'bundle-malformed',
    message: /not JSON/,
  });
  assert.throws(() => parseBundle('[]', 'a.json'), { code: 'bundle-malformed' });
  assert.throws(() => parseBundle(' '.repeat(17 * 1024 * 1024), 'a.json'), { code: 'bundle-malformed' });
});

test('findCves() lists each once, by year and number', () => {
  assert.deepEqual(findCves('Fixes CVE-2024-10001, cve-2024-1086 and CVE-2023-0001 (CVE-2024-1086)'), [
    'CVE-2023-0001',
    'CVE-2024-1086',
    'CVE-2024-10001',
  ]);
  assert.deepEqual(findCves('XCVE-2024-1086 CVE-24-1'), []);
});
