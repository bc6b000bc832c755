import assert from 'node:assert/strict';
import { test } from 'node:test';
import { thisMachine } from '../root/workshop.ts';
import { indexCompileDatabase, loadCompileDatabase } from './compile-database.ts';

const line = (object: string, source: string, modules = '', flags = '-D__KERNEL__') =>
  `${object}\t${modules}\tgcc-12 ${flags} -c -o ${object} ${source}`;
const database = indexCompileDatabase(
  [
    line('fs/a.o', 'fs/a.c'),
    line('lib/cmdline.o', 'lib/cmdline.c'),
    line('drivers/firmware/efi/libstub/lib-cmdline.o', 'lib/cmdline.c'),
    line(
      'arch/x86/kvm/../../../virt/kvm/main.o',
      'arch/x86/kvm/../../../virt/kvm/main.c',
      'arch/x86/kvm/kvm',
      '-DMODULE -D__KERNEL__',
    ),
    'broken line',
    '',
  ].join('\n'),
);

test('CompileDatabase finds a unit by its source', () => {
  assert.equal(database.unit('fs/a.c')?.object, 'fs/a.o');
  assert.equal(database.unit('fs/b.c'), undefined);
  assert.deepEqual(database.unit('virt/kvm/main.c')?.owner, ['kvm']);
});

test('CompileDatabase keeps apart what is no kernel code', () => {
  assert.deepEqual(
    database.unitsFrom('lib/cmdline.c').map(unit => unit.object),
    ['lib/cmdline.o'],
  );
  assert.deepEqual(
    database.foreignUnitsFrom('lib/cmdline.c').map(({ partOf }) => partOf),
    ['the EFI boot stub'],
  );
  assert.equal(database.units().length, 3);
});

test('loadCompileDatabase() refuses a record that is missing or names no units', async () => {
  const kit = (units: string) => ({
    release: 'x',
    packageVersion: 'y',
    workshop: thisMachine,
    paths: { tree: '', units },
  });
  await assert.rejects(loadCompileDatabase(kit('/nonexistent/units.tsv')), { code: 'host-file-failed' });
  await assert.rejects(loadCompileDatabase(kit('/dev/null')), { code: 'compile-database-damaged' });
});
