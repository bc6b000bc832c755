import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLock, findMissing } from './check-lock.ts';

const tool = {
  version: '1.0.0',
  dev: true,
  license: 'MIT',
  optionalDependencies: { '@x/linux-x64-musl': '1.0.0', '@x/binding-darwin-arm64': '1.0.0' },
};
const cli = { 'packages/cli': { bin: { kstitch: 'bin/kstitch' } } };

test('packages of foreign platforms that npm left out are found and described by their names', () => {
  const missing = findMissing({
    packages: { 'node_modules/tool': tool, 'node_modules/@x/linux-x64-musl': { version: '1.0.0' } },
  });
  assert.deepEqual(missing, {
    'node_modules/@x/binding-darwin-arm64': {
      version: '1.0.0',
      cpu: ['arm64'],
      dev: true,
      license: 'MIT',
      optional: true,
      os: ['darwin'],
    },
  });
  assert.deepEqual(
    findMissing({ packages: { 'node_modules/tool': tool } })['node_modules/@x/linux-x64-musl']?.libc,
    ['musl'],
  );
});

test('a whole lock has nothing to complain about, and each fault is named', () => {
  assert.deepEqual(checkLock({ packages: { ...cli, 'node_modules/a': { version: '1.0.0' } } }), []);
  const problems = checkLock({
    packages: {
      'node_modules/a': { hasInstallScript: true, resolved: 'https://mirror.example/a.tgz' },
      'node_modules/tool': tool,
    },
  });
  assert.deepEqual(
    problems.map(problem => /missing|install script|registry|no bin/.exec(problem)?.[0]),
    ['missing', 'missing', 'install script', 'registry', 'no bin'],
  );
});
