/**
 * `npm run bench:vm`: what a load costs those who work meanwhile. In a virtual machine two processes are busy on the path that
 * is patched, while the livepatch is loaded by kstitch and by insmod in turns. Writes docs/pause.md, and ends with status 1 when a
 * ratio is not as wanted. Only ratios mean something: an emulated processor is slow.
 *
 *   npm run bench:vm                    20 pairs
 *   npm run bench:vm -- --pairs 40
 *   npm run bench:vm -- --pairs 1       a try: under 20 the page is only printed
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Code } from '@kstitch/report/catalogue';
import { KstitchError } from '@kstitch/report/error';
import { compileC } from '@kstitch/testkit/compile';
import { testRelease } from '@kstitch/testkit/kit';
import { buildForGuest, runWithKstitch } from '@kstitch/testkit/manager-guest';
import { blockerPatches } from '@kstitch/testkit/manager-patches';
import { root } from '../scripts/repository.ts';
import {
  type Loader,
  loadSeconds,
  pausePage,
  wantedPairs,
  windowNumber,
  windowsOfLoad,
} from './pause-page.ts';
import { parseRounds, type Rounds } from './pauses.ts';

const { values } = parseArgs({ options: { pairs: { type: 'string', default: String(wantedPairs) } } });
const pairs = Number(values.pairs);
/**
 * How an end of the guest shows for which the emulator is to blame. QEMU 7.2, with several processors at once, seems to keep old code
 * that another of them writes over: one may be left with the breakpoint that was at the start of a function while ftrace switched it
 * over, or with old code of a compiler such as V8.
 */
const emulatorFailed: readonly string[] = [
  'vm-script-failed',
  'vm-boot-failed',
  'vm-qemu-died',
] satisfies Code[];
/** Boots one after the other that end before a pair is done. */
const mostBootsWithout = 5;
/** busy.c takes 254 windows, the last for loads that do not count. */
const mostPairs = 40;
const uncounted = 250;
if (!(Number.isInteger(pairs) && pairs >= 1 && pairs <= mostPairs))
  throw new RangeError(`--pairs is a whole number from 1 to ${mostPairs}`);

const work = await mkdtemp(join(tmpdir(), 'kstitch-bench-'));
try {
  const { pipe } = await blockerPatches();
  const { names, files } = await buildForGuest(work, { pipe });
  const busy = compileC(
    await readFile(join(import.meta.dirname, 'busy.c'), 'utf8'),
    ['-static', '-Wall', '-Werror'],
    { link: true },
  );
  const windows = new Map<number, Rounds[]>();
  let done = 0;
  let boots = 0;
  for (let without = 0; done < pairs && without < mostBootsWithout; ) {
    let pairsOfBoot = 0;
    let pending: (readonly [number, Rounds])[] = [];
    const onMessage = (line: string): void => {
      if (line.startsWith('rounds ')) {
        pending.push(parseRounds(line.slice('rounds '.length)));
        return;
      }
      console.error(line);
      if (!line.startsWith('pair ')) return;
      for (const [window, rounds] of pending) windows.set(window, [...(windows.get(window) ?? []), rounds]);
      pending = [];
      pairsOfBoot += 1;
    };
    boots += 1;
    const ended = await runWithKstitch(work, {
      files: { ...files, '/busy': busy },
      script: script(names.pipe, done + 1),
      timeoutSeconds: 300 * (pairs - done) + 300,
      // In turn, each would stand still while the other has its time, whatever is loaded.
      processors: 'at once',
      commandLine: ['softlockup_panic=1', 'watchdog_thresh=10'],
      onMessage,
    }).then(
      ({ status }) => (status === 0 ? undefined : `the guest's script ended with status ${status}`),
      (error: unknown) => {
        if (error instanceof KstitchError && emulatorFailed.includes(error.code)) return error.message;
        throw error;
      },
    );
    done += pairsOfBoot;
    without = pairsOfBoot > 0 ? 0 : without + 1;
    if (ended !== undefined) console.error(`${ended}; the next boot goes on from pair ${done + 1}`);
  }
  if (done < pairs)
    throw new Error(`${mostBootsWithout} boots one after the other ended before a pair was done`);
  const { page, missed } = pausePage({ release: testRelease, pairs, boots, windows });
  console.log(page);
  if (pairs >= wantedPairs) {
    await writeFile(join(root, 'docs/pause.md'), page);
    for (const line of missed) console.error(`not as wanted: ${line}`);
    process.exitCode = missed.length === 0 ? 0 : 1;
  }
} finally {
  await rm(work, { recursive: true, force: true });
}

/**
 * Which of a pair is first alternates; a load has the same time with both. What the processes saw is told after each pair, since a boot may
 * come to an early end.
 */
function script(name: string, firstPair: number): string {
  const patch = `/sys/kernel/livepatch/${name}`;
  const turns = Array.from({ length: pairs - firstPair + 1 }, (_, index) => firstPair + index).map(pair => {
    const turn = (loader: Loader) => `load_and_unload ${windowNumber(pair, loader)} by_${loader}`;
    const [first, second] =
      pair % 2 === 0 ? (['kstitch', 'insmod'] as const) : (['insmod', 'kstitch'] as const);
    return `${turn(first)}\n${turn(second)}\ntell\necho "pair ${pair} of ${pairs}" >&2`;
  });
  return `
chmod 755 /root/k/busy
control=/root/k/tmp/control
printf '\\000' > $control
/root/k/busy $control >> /tmp/seen &
/root/k/busy $control >> /tmp/seen &

# Whoever calls insmod opens the window of the load.
rm /root/k/bin/insmod
cat > /root/k/bin/insmod <<'END'
#!/bin/sh
window() { printf "\\\\$(printf %03o "$1")" | busybox dd of=/tmp/control conv=notrunc 2> /dev/null; }
read -r first < /tmp/first
window $((first + 1))
(busybox sleep ${loadSeconds}; window $((first + ${windowsOfLoad - 1})); : > /tmp/over) < /dev/null > /dev/null 2>&1 &
exec busybox insmod "$@"
END
chmod 755 /root/k/bin/insmod

window() { printf "\\\\$(printf %03o "$1")" | dd of=$control conv=notrunc 2> /dev/null; }
in_force() { [ "$(cat ${patch}/transition 2> /dev/null)" = 0 ]; }
by_kstitch() { kstitch load /${name}.ko --quiet > /dev/null; }
by_insmod() { chroot /root/k /bin/insmod /${name}.ko; }
uptime_s() { read -r up rest < /proc/uptime; echo "\${up%.*}"; }
# How long a command takes is found out by the first loads, which are not counted; the code cache is filled by them too.
load_and_unload() {
	echo "$1" > /root/k/tmp/first
	rm -f /root/k/tmp/over
	began=$(uptime_s)
	window "$1"
	$2 || exit 1
	until in_force; do usleep 20000; done
	took=$(($(uptime_s) - began + 1))
	until [ $(($(uptime_s) - began)) -ge "$length" ] && [ -e /root/k/tmp/over ]; do usleep 20000; done
	window 0
	echo 0 > ${patch}/enabled
	while [ -e ${patch} ]; do usleep 20000; done
	until rmmod ${name}; do usleep 100000; done 2> /dev/null
	sleep 1
}
tell() {
	sed 's/^/rounds /' /tmp/seen >&2
	: > /tmp/seen
}
length=0
load_and_unload ${uncounted} by_kstitch
load_and_unload ${uncounted} by_kstitch
: > /tmp/seen
length=$((took + ${loadSeconds} + 2))
echo "a command has $length s" >&2
${turns.join('\n')}
window 255
wait
`;
}
