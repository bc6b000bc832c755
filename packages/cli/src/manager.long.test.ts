/** What goes wrong on a running kernel, in virtual machines with the stock one: kills, blockers, refusals, force. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readAnswers } from '@kstitch/testkit/guest-root';
import { buildTrials, type GuestRun, runWithKstitch, type Trials } from '@kstitch/testkit/manager-guest';
import { compileTypist } from '@kstitch/testkit/typist';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let trials: Trials;
before(async () => {
  trials = await buildTrials(folder);
});

/** Runs a script in a guest of its own, which the kernel survives without a word of complaint. */
async function guest(script: string, more: Partial<GuestRun> = {}) {
  const directory = mkdtempSync(join(folder, 'boot-'));
  const { status, output, splats, log } = await runWithKstitch(directory, {
    files: { ...trials.files, ...more.files },
    script,
    timeoutSeconds: 1800,
    commandLine: more.commandLine ?? [],
  });
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  return readAnswers(output, log);
}

/** The phases of the livepatches in what `status` and `list` say. */
function phases(json: { readonly livepatches: readonly { name: string; phase: string }[] }) {
  return Object.fromEntries(json.livepatches.map(({ name, phase }) => [name, phase]));
}

test('killed at any step, status is right and the same command goes on', async () => {
  const { ext4, pipe } = trials.names;
  const { answer, lines } = await guest(`
    journal=/root/k/var/lib/kstitch/journal
    kill_at() {
      until tail -n 1 $journal 2>&- | grep -q "$1"; do usleep 20000; done
      kill -9 $(pidof node)
      wait
    }
    kstitch load /${ext4}.ko > /dev/null 2>&1 &
    kill_at '"action":"load".*"phase":"begin"'
    answer begun status
    answer load load /${ext4}.ko

    kstitch unload ${ext4} --grace 3600 > /dev/null 2>&1 &
    kill_at '"result":"disabled"'
    answer disabled status
    answer unload unload ${ext4} --grace 1

    # The kernel wakes the blocker after 15 s, so that the transition ends while nobody watches, or under the eyes of the next.
    mkfifo /tmp/fifo
    sleep 10000 > /tmp/fifo &
    cat /tmp/fifo > /dev/null &
    kstitch load /${pipe}.ko --timeout 600 > /dev/null 2>&1 &
    until tail -n 1 $journal | grep -q inserted; do usleep 20000; done
    kill -9 $(pidof node)
    answer inserted status
    answer adopted load /${pipe}.ko

    # Now it sleeps in the new function, and blocks the way back.
    answer stays unload ${pipe} --timeout 3
    answer again list

    answer one unload ${pipe} --grace 0 --timeout 300 &
    first=$!
    answer two load /${ext4}.ko --drop ${pipe} --timeout 300 &
    wait $first $!
    answer end status
    printf '@answer journal 0\\n'
    cat $journal
  `);
  const begun = answer('begun');
  assert.equal(begun.status, 0);
  assert.equal(begun.json.unfinished.length, 1);
  // insmod may have come to its end or not.
  assert.ok([undefined, 'enabling', 'active'].includes(phases(begun.json)[ext4]));
  const load = answer('load');
  assert.deepEqual([load.status, load.json.attestation.verdict], [0, 'attested']);

  const disabled = answer('disabled');
  assert.deepEqual(phases(disabled.json), { [ext4]: 'disabled' });
  assert.deepEqual(
    disabled.json.unfinished.map(({ action }: { action: string }) => action),
    ['unload'],
  );
  assert.deepEqual([answer('unload').status, answer('unload').json.result], [0, 'removed']);

  assert.equal(answer('inserted').json.unfinished.length, 1);
  assert.match(phases(answer('inserted').json)[pipe] ?? '', /^(?:enabling|active)$/);
  assert.equal(answer('adopted').status, 0);
  assert.equal(answer('adopted').json.attestation.verdict, 'attested');

  const stays = answer('stays');
  assert.deepEqual([stays.status, stays.json.error.code], [5, 'unload-timed-out']);
  assert.match(stays.json.error.notes.join('\n'), /cat \(process \d+\) in pipe_read\(\)/);
  assert.equal(phases(answer('again').json)[pipe], 'active');

  assert.deepEqual([answer('one').status, answer('two').status], [0, 0]);
  assert.deepEqual(phases(answer('end').json), { [ext4]: 'active' });
  assert.deepEqual(answer('end').json.unfinished, []);
  const interrupted = lines('journal').filter(line => line.includes('"result":"interrupted"'));
  assert.equal(interrupted.length, 3);
});

test('a kernel thread blocks for ever, and what may not be loaded is refused', async () => {
  const { ext4, pipe, kthreadd } = trials.names;
  const damaged = Buffer.from(trials.files[`/${ext4}.ko`] ?? []);
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) + 1;
  const files = {
    '/damaged.ko': damaged,
    '/damaged.json': trials.files[`/${ext4}.json`] ?? new Uint8Array(),
  };
  const { answer } = await guest(
    `
    insmod /root/k/${ext4}.ko
    until [ "$(cat /sys/kernel/livepatch/${ext4}/transition)" = 0 ]; do sleep 1; done
    answer foreign list
    answer drops load /${pipe}.ko
    answer damaged load /damaged.ko
    mkdir /root/k/full; mount -t tmpfs -o size=64k none /root/k/full
    export KSTITCH_STATE=/full
    answer full load /${pipe}.ko --drop ${ext4}
    unset KSTITCH_STATE

    echo 'p:inside kthreadd+5' > /root/k/sys/kernel/tracing/kprobe_events
    echo 1 > /root/k/sys/kernel/tracing/events/kprobes/inside/enable
    kstitch load /${kthreadd}.ko --drop ${ext4} --timeout 3600 --json > /tmp/loading 2> /dev/null &
    loading=$!
    until [ "$(cat /sys/kernel/livepatch/${kthreadd}/transition 2>&-)" = 1 ]; do usleep 50000; done
    answer explain explain
    answer busy load /${pipe}.ko --drop ${ext4} --drop ${kthreadd} --dry-run
    kill -INT $(pidof node)
    wait $loading
    printf '@answer interrupted %s\\n' $?
    cat /tmp/loading
    echo 0 > /root/k/sys/kernel/tracing/events/kprobes/inside/enable

    answer unloaded unload ${ext4}
    answer stays unload ${kthreadd} --grace 1
  `,
    { files },
  );
  assert.deepEqual(
    answer('foreign').json.livepatches.map(({ phase, known }: { phase: string; known: boolean }) => [
      phase,
      known,
    ]),
    [['active', false]],
  );
  const refusal = (name: string) => {
    const { status, json } = answer(name);
    return [status, json.error.code];
  };
  assert.deepEqual(refusal('drops'), [2, 'load-drops-livepatch']);
  assert.deepEqual(refusal('damaged'), [2, 'load-module-changed']);
  assert.deepEqual(refusal('full'), [4, 'load-disk-low']);
  assert.deepEqual(refusal('busy'), [4, 'transition-busy']);

  const { livepatch, phase, blockers } = answer('explain').json.transition;
  assert.deepEqual([livepatch, phase], [kthreadd, 'enabling']);
  const thread = blockers.find(({ comm }: { comm: string }) => comm === 'kthreadd');
  assert.deepEqual([thread?.kernelThread, thread?.function], [true, 'kthreadd']);
  assert.match(thread.moves, /never if it works in a loop there/);

  const interrupted = answer('interrupted');
  assert.equal(interrupted.status, 130);
  assert.deepEqual(
    interrupted.json.diagnostics.map(({ code }: { code: string }) => code),
    ['load-kprobe-inside'],
  );

  const unloaded = answer('unloaded');
  assert.deepEqual([unloaded.status, unloaded.json.result], [0, 'disabled']);
  assert.match(unloaded.json.reasons[0], /kstitch did not load it/);
  const { result, reasons } = answer('stays').json;
  assert.equal(result, 'disabled');
  assert.match(reasons[0], /^kthreadd\(\) does not return/);
});

test('force is asked for when time is up, wants the name typed, and leaves its mark', async () => {
  const { pipe, kthreadd } = trials.names;
  const { answer, lines } = await guest(
    `
    mkdir -p /root/k/dev/pts; mount -t devpts devpts /root/k/dev/pts
    chmod 755 /root/k/typist
    # typed NAME TEXT COMMAND...: what is said on a terminal at which somebody types the text.
    typed() {
      name=$1; text=$2; shift 2
      said=$(chroot /root/k /typist "$text" /bin/node /kstitch/packages/cli/src/main.ts "$@"); status=$?
      printf '@answer %s %s\\n%s\\n' "$name" "$status" "$said"
    }
    sleep 10000 | cat > /dev/null &
    typed declined yes load /${pipe}.ko --force --timeout 3
    answer reversed list
    typed forced ${kthreadd} load /${kthreadd}.ko --force --timeout 3
    answer marked status
  `,
    { files: { '/typist': compileTypist() } },
  );
  const declined = lines('declined').join('\n');
  assert.match(declined, /may crash the kernel.*Force it\? \[type 'kstitch_pipe_/s);
  assert.match(declined, /load-timed-out/);
  assert.equal(phases(answer('reversed').json)[pipe], 'disabled');

  assert.match(lines('forced').join('\n'), /loaded, by force[\s\S]*attested/);
  const marked = answer('marked');
  assert.deepEqual([marked.status, marked.json.health], [10, 'reboot needed']);
});

test('where only signed modules are taken, an unsigned one is refused before the kernel is asked', async () => {
  const { answer } = await guest(`answer load load /${trials.names.ext4}.ko`, {
    commandLine: ['module.sig_enforce=1'],
  });
  const { status, json } = answer('load');
  assert.deepEqual([status, json.error.code], [2, 'load-unsigned']);
});
