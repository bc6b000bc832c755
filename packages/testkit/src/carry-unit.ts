import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { bootOnce } from '@kstitch/vm/boot-once';
import type { IdentityCase } from './identity-cases.ts';
import { testKit, testRelease } from './kit.ts';

/** Seconds for everything in the guest, under emulation on a busy machine: Linux 6.1 takes 50 ms to load each klp relocation. */
const guestSeconds = 1200;

/**
 * Builds an identity livepatch of a unit, loads it in a virtual machine, lets its functions run, takes it out while they run, and
 * runs them once more: the kernel must have nothing to say about any of it.
 */
export async function carryUnit({
  unit,
  leaveOut = [],
  modules = [],
  carried,
  run,
  script,
}: IdentityCase): Promise<void> {
  const { kit } = await testKit();
  const outputDirectory = mkdtempSync(join(tmpdir(), 'kstitch-identity-'));
  try {
    const { bundle, modulePath } = await buildLivepatch(silentContext(), {
      patches: [],
      identity: { units: [unit], leaveOut },
      release: testRelease,
      name: 'identity',
      outputDirectory,
    });
    const functions = bundle.objects.flatMap(object => object.functions);
    assert.ok(functions.length >= carried, `${functions.length} functions are carried`);
    assert.ok(functions.every(({ why }) => why === 'identity'));

    const { status, output, splats, log } = await bootOnce(silentContext(), {
      kernel: {
        release: kit.release,
        vmlinuzPath: kit.paths.vmlinuz,
        modulesDirectory: kit.paths.modulesDirectory,
      },
      modules,
      files: [{ path: '/livepatch.ko', bytes: readFileSync(modulePath) }],
      script: guestScript(bundle.module, script),
      timeoutSeconds: guestSeconds,
    });
    const said = Buffer.from(output).toString();
    assert.equal(status, 0, `${said}\n${log.split('\n').slice(-60).join('\n')}`);
    assert.deepEqual(splats, []);
    const seen = Number(/^ran (\d+)$/m.exec(said)?.[1]);
    assert.ok(seen >= run, `${seen} functions of the livepatch ran:\n${said}`);
  } finally {
    rmSync(outputDirectory, { recursive: true });
  }
}

/** The status says which step failed; `ran N`: so many different functions of the livepatch were traced. */
function guestScript(livepatch: string, script: string): string {
  const state = `/sys/kernel/livepatch/${livepatch}`;
  return `
    exercise() { ${script}
    }
    until_true() { i=0; until "$@"; do i=$((i + 1)); [ $i -gt 600 ] && return 1; usleep 500000; done; }
    settled() { [ "$(cat ${state}/transition)" = 0 ] && [ "$(cat ${state}/enabled)" = 1 ]; }
    gone() { [ ! -d ${state} ]; }
    free() { rmmod ${livepatch} 2>&-; }
    says() { read up rest </proc/uptime; echo "$up $*"; }
    trace=/sys/kernel/tracing
    mount -t tracefs trace $trace || exit 2

    says without
    exercise || exit 3
    says load
    insmod /livepatch.ko || exit 4
    until_true settled || exit 5

    says traced
    echo 4096 >$trace/buffer_size_kb
    echo ':mod:${livepatch}' >$trace/set_ftrace_filter && echo function >$trace/current_tracer || exit 6
    exercise || exit 7
    echo 0 >$trace/tracing_on
    sed -n 's/.*: \\([^ ]*\\) <-.*/\\1/p' $trace/trace | sort -u >/tmp/ran
    echo nop >$trace/current_tracer && echo >$trace/set_ftrace_filter
    says disable
    # Its end is not waited for: what runs while the old functions come back must be none the worse for it.
    (exercise >/dev/null 2>&1) & running=$!
    echo 0 >${state}/enabled || exit 8
    until_true gone || exit 9
    wait $running || exit 10
    says remove
    until_true free || exit 11
    says again
    exercise || exit 12
    says end
    echo "ran $(wc -l </tmp/ran)"
    cat /tmp/ran
  `;
}
