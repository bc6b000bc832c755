import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { livepatchModuleName, MAX_SLUG_LENGTH, slugOf } from './module-name.ts';

const hash = '1a2b3c4d5e6f';

test('slugOf() keeps letters and digits', () => {
  assert.equal(slugOf('ext4-mballoc'), 'ext4_mballoc');
  assert.equal(slugOf('CVE-2024-1086 (nf_tables)'), 'cve_2024_1086_nf_tables');
});

test('slugOf() refuses what leaves nothing, or too much', () => {
  assert.throws(() => slugOf('¿?'), { code: 'livepatch-name-invalid' });
  assert.throws(() => slugOf(''), { code: 'livepatch-name-invalid' });
  assert.throws(() => slugOf('a'.repeat(MAX_SLUG_LENGTH + 1)), { code: 'livepatch-name-invalid' });
});

test('livepatchModuleName() is a name that the kernel and klp relocation sections can hold', () => {
  assert.equal(livepatchModuleName('ext4_mballoc', hash), 'kstitch_ext4_mballoc_1a2b3c4d');
  assert.equal(livepatchModuleName('a'.repeat(MAX_SLUG_LENGTH), hash).length, 55);
  fc.assert(
    fc.property(fc.string(), fc.stringMatching(/^[0-9a-f]{8,64}$/), (text, digits) => {
      let slug: string;
      try {
        slug = slugOf(text);
      } catch {
        return;
      }
      assert.match(livepatchModuleName(slug, digits), /^kstitch_[a-z0-9_]{1,38}_[0-9a-f]{8}$/);
    }),
  );
});

test("livepatchModuleName() is never the name of one of the kernel's modules", () => {
  assert.throws(() => livepatchModuleName('ext4', hash, ['virtio', 'kstitch-ext4-1a2b3c4d']), {
    code: 'livepatch-name-taken',
  });
});
