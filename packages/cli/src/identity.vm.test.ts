/** Units of the kernel and of a module, carried unchanged; more of them in identity.long.test.ts. */
import { test } from 'node:test';
import { carryUnit } from '@kstitch/testkit/carry-unit';
import { quickCases } from '@kstitch/testkit/identity-cases';

for (const each of quickCases) {
  test(`${each.unit} in a livepatch, unchanged, works as without`, async () => {
    await carryUnit(each);
  });
}
