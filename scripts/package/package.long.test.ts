/** The package on a machine: Debian with systemd, the stock kernel, one disk from boot to boot. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestOptions, test } from 'node:test';
import { missingDebianImage } from '@kstitch/testkit/debian-image';
import { type DebianMachine, makeDebianMachine } from '@kstitch/testkit/debian-machine';
import { type Answers, readAnswers } from '@kstitch/testkit/guest-root';
import { buildForGuest } from '@kstitch/testkit/manager-guest';
import { blockerPatches, deadlyPatch } from '@kstitch/testkit/manager-patches';
import { makePackage } from './package.ts';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let machine: DebianMachine;
let names: Readonly<Record<'ext4' | 'pipe' | 'deadly', string>>;
const onMachine: TestOptions = { skip: missingDebianImage };
before(async () => {
  if (missingDebianImage !== false) return;
  const { ext4, pipe } = await blockerPatches();
  const built = await buildForGuest(folder, { ext4, pipe, deadly: await deadlyPatch() });
  names = built.names;
  const { deb } = await makePackage(folder, { time: 1_795_478_400, compression: 'none' });
  machine = await makeDebianMachine(folder, { ...built.files, 'kstitch.deb': readFileSync(deb) });
});

/** As in `guestRootScript`, with the kstitch that is installed. */
const prelude = `
  answer() {
    name=$1; shift
    said=$(kstitch "$@" --json); status=$?
    printf '@answer %s %s\\n%s\\n' "$name" "$status" "$said"
  }
  say() {
    name=$1; shift
    said=$("$@"); status=$?
    printf '@answer %s %s\\n%s\\n' "$name" "$status" "$said"
  }
  # Until the service is where it stays: it gave up, or the livepatch has settled.
  settled() {
    until kstitch history --json | grep -q "$1"; do sleep 1; done
  }
`;

/** One boot that the kernel survives without a word of complaint. */
async function boot(script: string, commandLine: readonly string[] = []): Promise<Answers> {
  const { status, output, log, splats } = await machine.boot(prelude + script, 1800, commandLine);
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  return readAnswers(output, log);
}

/** The livepatches that are loaded, and their phases. */
function phases(json: { readonly livepatches: readonly { name: string; phase: string }[] }) {
  return Object.fromEntries(json.livepatches.map(({ name, phase }) => [name, phase]));
}

test(
  'the package is installed, and a livepatch loaded and taken out while the disk is written to',
  onMachine,
  async () => {
    const { answer, lines } = await boot(`
    say dpkg dpkg -i /trial/kstitch.deb
    say enabled systemctl is-enabled kstitch.service
    say version kstitch --version
    # On the patched path: whoever takes blocks loads a group. The caches stay: without them this kernel's own bug ends the test.
    hammer() {
      while :; do
        dd if=/dev/urandom of=/root/hammer.$1 bs=64k count=16 conv=fsync 2>/dev/null
        rm -f /root/hammer.$1
      done
    }
    hammer 1 & one=$!
    hammer 2 & two=$!
    answer load load /trial/${names.ext4}.ko
    answer loaded list
    answer unload unload ${names.ext4} --grace 1
    kill $one $two
    answer empty list

    # A process that sleeps in the patched function, and does not leave it within the time.
    mkfifo /tmp/fifo
    sleep 10000 > /tmp/fifo &
    cat /tmp/fifo > /dev/null &
    sleep 1
    answer blocked load /trial/${names.pipe}.ko --timeout 5
    answer reversed list

    answer install install /trial/${names.ext4}.ko
    answer waiting status
    sed -i 's/^#settled = .*/settled = 5/' /etc/kstitch.toml
  `);
    assert.equal(lines('enabled')[0], 'enabled', lines('dpkg').join('\n'));
    assert.deepEqual(lines('version'), ['kstitch 0.1.0']);
    assert.equal(answer('load').status, 0);
    assert.equal(answer('load').json.attestation.verdict, 'attested');
    assert.deepEqual(phases(answer('loaded').json), { [names.ext4]: 'active' });
    assert.deepEqual([answer('unload').status, answer('unload').json.result], [0, 'removed']);
    assert.deepEqual(phases(answer('empty').json), {});
    assert.deepEqual([answer('blocked').status, answer('blocked').json.error.code], [5, 'load-timed-out']);
    assert.match(answer('blocked').json.error.notes.join('\n'), /cat \(process \d+\) in pipe_read\(\)/);
    assert.equal(phases(answer('reversed').json)[names.pipe], 'disabled');
    assert.equal(answer('install').status, 0);
    assert.deepEqual(
      [answer('waiting').status, answer('waiting').json.health],
      [11, 'installed but not active'],
    );
  },
);

test(
  'the next boot loads what is installed, before the machine is up, and lets go of its guard',
  onMachine,
  async () => {
    const { answer, lines } = await boot(`
    settled settled
    answer status status
    say unit systemctl is-active kstitch.service
    say failed systemctl --failed --no-legend
    answer install install /trial/${names.deadly}.ko --replace
    # The script of the next boot, which makes it deadly, begins long after the load.
    sed -i 's/^settled = .*/settled = 3600/' /etc/kstitch.toml
  `);
    const { status, json } = answer('status');
    assert.deepEqual([status, json.health, json.boot.guard], [0, 'well', null]);
    assert.deepEqual(phases(json), { [names.ext4]: 'active' });
    assert.deepEqual(lines('unit'), ['active']);
    assert.deepEqual(lines('failed'), ['']);
    assert.equal(answer('install').status, 0);
  },
);

test('a livepatch that takes the machine down is left out by the boot after', onMachine, async () => {
  const { ending, log } = await machine.boot('while :; do cat /proc/version; sleep 1; done', 600);
  assert.equal(ending.kind, 'crashed', log);
  assert.match(log, /Kernel panic - not syncing: the trial's end/);
  const { answer } = await boot(`
    settled boot-guard-tripped
    answer status status
    answer install install /trial/${names.ext4}.ko --replace
  `);
  const { status, json } = answer('status');
  assert.deepEqual([status, json.health, json.livepatches], [13, 'guard tripped', []]);
  assert.equal(json.boot.guard.livepatch, names.deadly);
  assert.equal(answer('install').status, 0);
});

test(
  'kstitch=off keeps everything out, and nothing is left of a package that is purged',
  onMachine,
  async () => {
    const { answer, lines } = await boot(
      `
    until [ "$(systemctl is-active kstitch.service)" = active ]; do sleep 1; done
    sleep 5
    answer status status
    say purge dpkg --purge kstitch
    say left find /usr/bin/kstitch /etc/kstitch.toml /var/lib/kstitch /lib/systemd/system/kstitch.service /etc/systemd/system
  `,
      ['kstitch=off'],
    );
    const { status, json } = answer('status');
    assert.deepEqual(
      [status, json.boot.switchedOff, json.livepatches],
      [11, "the kernel argument 'kstitch=off'", []],
    );
    assert.deepEqual(
      lines('left').filter(line => line.includes('kstitch')),
      [],
      lines('purge').join('\n'),
    );
  },
);
