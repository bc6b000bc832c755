import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCommandLines, tryCommandLine } from './check-commands.ts';

test('findCommandLines() reads fenced code only, joins continued lines, ends at pipes, redirections and comments', () => {
  const markdown = `
kstitch prose
\`\`\`
$ kstitch kernel fetch "$(uname -r)"   # the running one
npx kstitch delta 1-1 1-2 > x.patch
npm run kstitch -- build x.patch \\
    --name 'x'
kstitch build PATCH… --kernel RELEASE
echo kstitch
\`\`\`
`;
  assert.deepEqual(findCommandLines(markdown), [
    [4, ['kernel', 'fetch', '6.1.0-55-cloud-amd64']],
    [5, ['delta', '1-1', '1-2']],
    [6, ['build', 'x.patch', '--name', 'x']],
    [8, ['build', 'PATCH…', '--kernel', 'RELEASE']],
  ]);
});

test('tryCommandLine() takes what kstitch takes and names what it does not', async () => {
  assert.equal(await tryCommandLine(['build', 'x.patch', '--json']), undefined);
  assert.equal(await tryCommandLine(['build', '--help']), undefined);
  assert.match((await tryCommandLine(['build', 'x.patch', '--bogus'])) ?? '', /unknown option '--bogus'/);
  assert.match((await tryCommandLine(['frobnicate'])) ?? '', /unknown command/);
});
