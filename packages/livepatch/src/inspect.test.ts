import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editElf } from '@kstitch/elf/edit';
import { readElf } from '@kstitch/elf/read';
import { writeElf } from '@kstitch/elf/write';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import * as fc from 'fast-check';
import { fixtureModule, fixturePlan } from './fixture-module.ts';
import { inspectLivepatch } from './inspect.ts';
import { postLink } from './post-link.ts';

const skip = missingCompiler;

const ko = skip ? new Uint8Array() : postLink(fixtureModule(), fixturePlan);

function appendSignature(module: Uint8Array): Uint8Array {
  const trailer = Buffer.alloc(12);
  trailer.writeUInt32BE(3, 8);
  return Buffer.concat([module, Buffer.from('sig'), trailer, Buffer.from('~Module signature appended~\n')]);
}

test('inspectLivepatch() reads what is patched out of the arrays', { skip }, () => {
  assert.deepEqual(inspectLivepatch(ko, 'a.ko').patch, {
    objects: [
      {
        name: 'vmlinux',
        functions: [
          { name: 'meminfo_proc_show', sympos: 0, newName: 'meminfo_proc_show' },
          { name: 'cmdline_proc_show', sympos: 2, newName: 'cmdline_proc_show' },
        ],
        callbacks: [],
      },
      {
        name: 'nf_tables',
        functions: [{ name: 'nft_do_chain', sympos: 0, newName: 'nft_do_chain' }],
        callbacks: [],
      },
      {
        name: 'dummy',
        functions: [],
        callbacks: [
          { kind: 'post_patch', name: 'notice' },
          { kind: 'pre_unpatch', name: 'notice' },
        ],
      },
    ],
    states: [
      { id: 7, version: 2 },
      { id: 0xffff_ffff, version: 0 },
    ],
    replace: true,
  });
});

test('inspectLivepatch() lists klp symbols, relocations and special sections', { skip }, () => {
  const report = inspectLivepatch(ko, 'a.ko');
  assert.deepEqual(report.klpSymbols, [
    { object: 'vmlinux', name: 'show_val_kb', sympos: 1, relocations: 3 },
    { object: 'vmlinux', name: 'sched_schedstats', sympos: 0, relocations: 1 },
    { object: 'nf_tables', name: 'nft_trace_notify', sympos: 0, relocations: 2 },
  ]);
  assert.deepEqual(report.klpRelocations.at(-1), { gate: 'nf_tables', section: '.data.only_klp', count: 1 });
  // The key of a jump entry is relocated by livepatch, its code and target by the loader.
  assert.deepEqual(report.specialSections, [
    { name: '.orc_unwind_ip', entries: 6 },
    { name: '.return_sites', entries: 6 },
    { name: '__jump_table', entries: 1 },
    { name: '__mcount_loc', entries: 6 },
  ]);
});

test('inspectLivepatch() reads modinfo, exports with their CRC, build id and size', { skip }, () => {
  const report = inspectLivepatch(ko, 'a.ko');
  assert.equal(report.name, 'kstitch_fixture_00000000');
  assert.equal(report.release, '6.1.0-55-cloud-amd64');
  assert.equal(report.license, 'GPL');
  assert.equal(report.description, 'für a test');
  assert.deepEqual(report.depends, []);
  assert.deepEqual(report.exportedSymbols, [
    { name: '__fentry__', crc: 0x3333 },
    { name: '__x86_return_thunk', crc: 0x4444 },
    { name: 'klp_enable_patch', crc: 0x2222 },
  ]);
  assert.match(report.buildId ?? '', /^[0-9a-f]{40}$/);
  assert.equal(report.size, ko.length);
});

test('inspectLivepatch() tells signed from unsigned by taint', { skip }, () => {
  const flags = (bytes: Uint8Array) =>
    inspectLivepatch(bytes, 'a.ko')
      .taints.map(({ flag }) => flag)
      .join('');
  assert.equal(flags(ko), 'KOE');
  const signed = appendSignature(ko);
  assert.equal(flags(signed), 'KO');
  assert.equal(inspectLivepatch(signed, 'a.ko').signed, true);
  assert.equal(inspectLivepatch(signed, 'a.ko').size, signed.length);
});

test('inspectLivepatch() says so when the arrays are made at run time', { skip }, () => {
  // Without the pointer to struct module there is no klp_patch in the file.
  const module = fixtureModule({ define: { NO_PATCH: '1' } });
  assert.equal(inspectLivepatch(postLink(module, fixturePlan), 'a.ko').patch, undefined);
});

test('inspectLivepatch() tells what else a file may be', { skip }, () => {
  assert.throws(() => inspectLivepatch(compileC('int a;'), 'a.o'), { code: 'livepatch-not-elf-module' });
  assert.throws(() => inspectLivepatch(fixtureModule({ define: { NOT_LIVEPATCH: '1' } }), 'a.ko'), {
    code: 'livepatch-not-livepatch',
    message: /'kstitch_fixture_00000000' is not a livepatch/,
  });
  assert.throws(() => inspectLivepatch(ko.subarray(0, 3000), 'a.ko'), { code: 'elf-truncated' });
  assert.throws(() => inspectLivepatch(Buffer.from('#!/bin/sh and more of it'), 'a.sh'), {
    code: 'elf-foreign',
  });
});

test('inspectLivepatch() does not count relocations that were made void', { skip }, () => {
  const { builder } = editElf(readElf(ko, 'a.ko'));
  const content = builder.sectionsNamed('.rela.return_sites')[0]?.content;
  assert.ok(content?.kind === 'relocations');
  content.entries[0]!.r_type = 0;
  const { specialSections } = inspectLivepatch(writeElf(builder), 'a.ko');
  assert.deepEqual(specialSections[1], { name: '.return_sites', entries: 5 });
});

test('inspectLivepatch() refuses versions that are cut off', { skip }, () => {
  const { builder } = editElf(readElf(ko, 'a.ko'));
  const [section] = builder.sectionsNamed('__versions');
  assert.ok(section?.content.kind === 'bytes');
  section.content = { kind: 'bytes', bytes: section.content.bytes.subarray(0, 100) };
  assert.throws(() => inspectLivepatch(writeElf(builder), 'a.ko'), {
    code: 'elf-malformed',
    message: /__versions.*100 bytes/,
  });
});

test('inspectLivepatch() of a damaged module gives a report or one of our errors', { skip }, () => {
  const size = ko.length;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(size - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 12 }),
      changes => {
        const damaged = Uint8Array.from(ko);
        for (const [at, value] of changes) damaged[at] = value;
        try {
          inspectLivepatch(damaged, 'a.ko');
        } catch (error) {
          assert.ok(error instanceof KstitchError, String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});
