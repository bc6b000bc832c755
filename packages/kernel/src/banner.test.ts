import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { parseBanner, readBanner } from './banner.ts';
import { KernelImage } from './kernel-image.ts';

const debian =
  'Linux version 6.1.0-55-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, ' +
  'GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)';

test("Debian's banner", () => {
  assert.deepEqual(parseBanner(debian), {
    text: debian,
    release: '6.1.0-55-cloud-amd64',
    compiler: {
      text: 'gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0',
      program: 'gcc-12',
      version: '12.2.0',
      packageVersion: '12.2.0-14+deb12u1',
    },
    linker: {
      text: 'GNU ld (GNU Binutils for Debian) 2.40',
      program: 'GNU ld',
      version: '2.40',
      packageVersion: undefined,
    },
    build: '#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)',
    packageVersion: '6.1.192-1',
  });
});

test("a banner that the kernel's build cut off after 64 characters", () => {
  const version = (build: string) => parseBanner(debian.replace(/#1.*/, build)).packageVersion;
  assert.equal(version('#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-1'), '6.12.117-1~deb12u1');
  assert.equal(version('#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~de'), undefined, 'may be cut off itself');
});

test('kernels of others', () => {
  const own = parseBanner(
    'Linux version 6.12.0 (me@home) (gcc (GCC) 14.2.1 20240912, GNU ld version 2.43) #3 SMP Mon Jan  6 10:00:00 UTC 2025',
  );
  assert.equal(own.packageVersion, undefined);
  assert.equal(own.compiler.program, 'gcc');
  assert.equal(own.linker.text, 'GNU ld version 2.43');
  assert.equal(own.linker.program, 'GNU ld version');
  const clang = parseBanner('Linux version 6.9.1 (a@b) (clang version 18.1.3, LLD 18.1.3) #1 SMP x');
  assert.equal(clang.compiler.program, 'clang version');
  assert.equal(clang.compiler.version, '18.1.3');
  assert.equal(clang.linker.text, 'LLD 18.1.3');
});

test('other words are refused', () => {
  for (const text of [
    '',
    'Linux',
    'Linux version 6.1.0 ',
    'Linux version 6.1.0 (a@b',
    'Linux version 6.1.0 (a@b) gcc',
    'Linux version 6.1.0 (a@b) (gcc 12) #1',
    'Linux version 6.1.0 (a@b) (gcc 12, ld 2, more 3) #1',
  ]) {
    assert.throws(() => parseBanner(text), { code: 'kernel-banner' }, text);
  }
});

function imageOf(...strings: string[]): KernelImage {
  const source = `.globl _start\n.text\n_start: ret\n.section .rodata, "a"\n${strings.map(text => `.asciz "${text}"`).join('\n')}`;
  return new KernelImage(
    readElf(compileC(source, ['-nostdlib', '-static'], { language: 'assembler', link: true }), 'vmlinux'),
  );
}

test('the banner in an image: neither a format string nor the first round', { skip: missingCompiler }, () => {
  const image = imageOf(
    'Linux version %s (%s)\\n',
    `${debian.replace('#1 ', '# ')}\\n`,
    `${debian}\\n`,
    'more',
  );
  assert.equal(readBanner(image).text, debian);
});

test('an image without a banner is refused', { skip: missingCompiler }, () => {
  assert.throws(() => readBanner(imageOf('Linux version %s')), { code: 'kernel-banner' });
});
