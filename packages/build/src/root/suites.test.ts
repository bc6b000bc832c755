import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allSuites, suiteOf } from './suites.ts';

test('suiteOf() reads the Debian release out of the name of a kernel', () => {
  const names = [
    '6.12.117+deb13-cloud-amd64',
    '6.12.117+deb12-amd64',
    '6.1.0-55-cloud-amd64',
    '6.1.0-rc1-amd64',
    '7.0.1+deb99-amd64',
    '6.5.0-0.deb12.4-amd64',
  ].map(release => suiteOf(release, {})?.name);
  assert.deepEqual(names, ['trixie', 'bookworm', 'bookworm', undefined, undefined, undefined]);
});

test('mirrors and keyring are settings', () => {
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const line = (mirror: string, suite: string, key = keyring) =>
    `deb [arch=amd64 signed-by=${key}] ${mirror} ${suite} main`;
  assert.equal(
    suiteOf('6.12.117+deb13-amd64', {})?.sources,
    `${line('http://deb.debian.org/debian', 'trixie')}\n${line('http://deb.debian.org/debian-security', 'trixie-security')}`,
  );
  const own = {
    KSTITCH_DEBIAN_MIRROR: 'https://mirror.example/debian',
    KSTITCH_DEBIAN_SECURITY_MIRROR: 'https://mirror.example/security',
    KSTITCH_DEBIAN_KEYRING: '/etc/keys/own.gpg',
  };
  const [newest] = allSuites(own);
  assert.equal(
    newest?.sources,
    [
      line('https://mirror.example/debian', 'trixie', '/etc/keys/own.gpg'),
      line('https://mirror.example/security', 'trixie-security', '/etc/keys/own.gpg'),
    ].join('\n'),
  );
});

test('a setting cannot add words to a line of sources.list', () => {
  for (const value of ['', 'http://a b', 'http://a] [trusted=yes', 'http://a\ndeb http://b'])
    assert.throws(() => suiteOf('6.1.0-55-amd64', { KSTITCH_DEBIAN_MIRROR: value }), {
      code: 'root-setting-invalid',
      message: /^read KSTITCH_DEBIAN_MIRROR: /,
    });
});
