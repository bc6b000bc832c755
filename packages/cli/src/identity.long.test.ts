/** Units of the kernel and of modules, carried unchanged; a minute or more each. */
import { test } from 'node:test';
import { carryUnit } from '@kstitch/testkit/carry-unit';
import { longCases } from '@kstitch/testkit/identity-cases';

for (const each of longCases) {
  test(`${each.unit} in a livepatch, unchanged, works as without`, async () => {
    await carryUnit(each);
  });
}
