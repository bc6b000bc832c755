import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickPcBias } from './pc-bias.ts';
import { x86_64 } from './x86-64.ts';

/** One instruction of every form that the kernel has with disp32(%rip), and branches; `d` marks the field. */
const forms = [
  'e8 d', // call
  'e9 d', // jmp
  '0f 84 d', // je
  '8b 05 d', // mov x(%rip),%eax
  '48 8d 3d d', // lea
  '80 3d d 01', // cmpb $1
  '83 2d d 01', // subl $1
  '48 83 05 d 08', // addq $8
  'c6 05 d 01', // movb $1
  'c7 05 d 01 02 03 04', // movl
  '48 c7 05 d 01 02 03 04', // movq
  '66 c7 05 d 01 02', // movw
  '66 81 3d d 01 02', // cmpw
  '81 3d d 01 02 03 04', // cmpl
  'f6 05 d 01', // testb
  'f7 05 d 01 02 03 04', // testl
  'f7 1d d', // negl
  'f6 25 d', // mulb
  'ff 15 d', // call *
  '6b 05 d 07', // imul $7
  '69 05 d 01 02 03 04', // imul $
  'c1 25 d 03', // shll $3
  'd1 25 d', // shll
  'f0 0f c1 05 d', // lock xadd
  'f0 48 0f b1 15 d', // lock cmpxchg
  '48 0f c7 0d d', // cmpxchg16b
  '0f b6 05 d', // movzbl
  '0f ba 2d d 05', // btsl $5
  '0f c6 05 d 01', // shufps
  '66 0f 3a 0f 05 d 01', // palignr
  '66 0f 38 00 05 d', // pshufb
  '0f 38 f0 05 d', // movbe
  'c5 f9 70 05 d 01', // vpshufd
  'c4 e3 71 0f 05 d 01', // vpalignr
  '65 8b 05 d', // mov %gs:
  '65 48 03 05 d', // add %gs:
];

test('quickPcBias() agrees with the decoder or leaves it to it, whatever stands before the instruction', () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom(...forms), bytes, (form, before) => {
      const parts = form.split(' ');
      const instruction = parts.flatMap(part => (part === 'd' ? [0, 0, 0, 0] : [Number.parseInt(part, 16)]));
      const field = before.length + parts.indexOf('d');
      const quick = quickPcBias(Uint8Array.from([...before, ...instruction]), field);
      const alone = x86_64.decode(Uint8Array.from(instruction));
      assert.equal(alone.count, 1, form);
      const exact = x86_64.pcBias(alone, parts.indexOf('d'));
      assert.ok(quick === 0 || quick === exact, `${form}: ${quick}, not ${exact}`);
    }),
    { numRuns: 5000 },
  );
});

test('quickPcBias() tells nearly all forms without the decoder', () => {
  const told = forms.filter(form => {
    const parts = form.split(' ');
    const code = parts.flatMap(part => (part === 'd' ? [0, 0, 0, 0] : [Number.parseInt(part, 16)]));
    return quickPcBias(Uint8Array.from([0x55, 0x53, 0x50, ...code]), 3 + parts.indexOf('d')) > 0;
  });
  assert.ok(told.length >= 24, `${told.length} of ${forms.length}`);
});
