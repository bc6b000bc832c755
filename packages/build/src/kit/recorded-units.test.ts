import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { readRecordedUnits, splitCommand } from './recorded-units.ts';

test('splits a command as the shell does', () => {
  const commands = [
    `gcc-12 -DKBUILD_BASENAME='"super"' -D__KBUILD_MODNAME=kmod_ext4 -c -o fs/super.o fs/super.c`,
    String.raw`a "b \"c\" \d" e\ f 'g\h' i"j"'k' '' ""`,
    '  spaces   between  ',
  ];
  for (const command of commands) {
    const { stdout } = spawnSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' });
    assert.deepEqual(splitCommand(command), stdout.split('\0').slice(0, -1), command);
  }
});

test('a record is read as it was written', async () => {
  await withTemporaryDirectory('units-test', async directory => {
    const file = join(directory, 'units.tsv');
    await writeFile(file, 'a/b.o\tm/one m/two\tgcc -c\nc.o\t\tgcc -c c.c\n');
    const units = await readRecordedUnits(file);
    assert.deepEqual(units.get('a/b.o'), { object: 'a/b.o', modules: ['m/one', 'm/two'], command: 'gcc -c' });
    assert.deepEqual(units.get('c.o')?.modules, []);
    assert.equal(units.size, 2);
  });
});
