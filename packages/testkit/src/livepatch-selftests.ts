/**
 * Upstream's own tests of livepatch (tools/testing/selftests/livepatch of linux-source-6.12), as they come with the source package:
 * their modules are built against the headers of a kernel, and their scripts run in a virtual machine with it, unmodified.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import { run } from '@kstitch/host/run';
import { readAnswers } from './guest-root.ts';
import { ibtRelease, testKit } from './kit.ts';
import { runWithKstitch } from './manager-guest.ts';
import { buildModules } from './test-module.ts';

export interface SelftestResult {
  readonly script: string;
  /** 0 passed, 4 skipped. */
  readonly status: number;
  /** What it printed: `TEST: … ok`. */
  readonly lines: readonly string[];
}

export interface SelftestRun {
  readonly results: readonly SelftestResult[];
  /** How each load and unload of kstitch ended: `load test_klp_livepatch: attested`. */
  readonly kstitch: readonly string[];
  readonly log: string;
}

/** What the scripts call, from the packages bash, coreutils, grep, mawk, sed, diffutils, util-linux, libc-bin and procps. */
const programs = [
  ...'bash awk basename cat date dirname diff dmesg getconf grep id rm sed seq sleep stat tr uname'
    .split(' ')
    .map(name => `/usr/bin/${name}`),
  '/usr/sbin/sysctl',
];

const missing = programs.find(path => !existsSync(path));
/** For `{ skip: missingProgram }`: false, or which program this machine lacks that the scripts call. */
export const missingProgram: string | false = missing === undefined ? false : `'${missing}' is not installed`;

/**
 * @param directory - an empty folder
 * @param loader - `insmod`: what the scripts say; `kstitch`: in place of insmod and rmmod stand programs that call kstitch
 */
export async function runSelftests(
  directory: string,
  release: string,
  loader: 'insmod' | 'kstitch',
): Promise<SelftestRun> {
  const tests = join(directory, 'livepatch');
  const { sourceDirectory } = await testKit(ibtRelease);
  await cp(join(sourceDirectory, 'tools/testing/selftests/livepatch'), tests, { recursive: true });
  const modules = join(tests, 'test_modules');
  await buildModules(modules, release);
  const caller = 'test_klp-call_getpid';
  await run('gcc', ['-static', '-o', join(tests, caller), join(tests, `${caller}.c`)]);
  if (loader === 'kstitch') await writeRecords(modules, release);

  const kmod = await unpackKmod(directory);
  const path = `${loader === 'kstitch' ? '/instead:' : ''}/kmod:/bin`;
  const scripts = (await readdir(tests)).filter(name => /^test-.*\.sh$/.test(name)).toSorted();
  const results: SelftestResult[] = [];
  const kstitch: string[] = [];
  const logs: string[] = [];
  // Each in a boot of its own: what one leaves behind when it fails is not in the way of the next.
  for (const script of scripts) {
    const { status, output, log } = await runWithKstitch(directory, {
      release,
      programs: [...programs, ...kmod.programs],
      folders: { selftests: tests, kmod: kmod.names, 'lib/x86_64-linux-gnu': kmod.libraries },
      files: { '/instead/insmod': Buffer.from(insmod), '/instead/rmmod': Buffer.from(rmmod) },
      // Into a file: a pipe would be open for as long as a process that the script has left behind.
      script: `
        chmod 755 /root/k/instead/*
        # For what bash puts in place of <(…).
        ln -s /proc/self/fd /root/k/dev/fd
        KDIR=/selftests PATH=${path} chroot /root/k /bin/bash -c "cd /selftests && exec ./${script}" > /tmp/said 2>&1
        printf '@answer script %s\\n' $?
        cat /tmp/said
        printf '@answer kstitch 0\\n'
        [ ! -e /root/k/kstitch.log ] || cat /root/k/kstitch.log
      `,
      timeoutSeconds: 1800,
    });
    if (status !== 0) throw new Error(`the guest ended with status ${status}\n${log}`);
    const answers = readAnswers(output, log);
    results.push({ script, status: answers.statusOf('script'), lines: answers.lines('script') });
    kstitch.push(...answers.lines('kstitch').filter(line => line !== ''));
    logs.push(log);
  }
  return { results, kstitch, log: logs.join('\n') };
}

/** insmod, rmmod and modinfo as the scripts expect them, whose words they compare: from kmod, which busybox's are not. */
async function unpackKmod(directory: string) {
  const debs = join(directory, 'debs');
  const unpacked = join(directory, 'unpacked');
  const names = join(directory, 'kmod');
  await Promise.all([debs, unpacked, names].map(folder => mkdir(folder)));
  await run('apt-get', ['download', '-q', 'kmod', 'libkmod2'], { cwd: debs });
  for (const name of await readdir(debs)) await run('dpkg-deb', ['-x', join(debs, name), unpacked]);
  for (const name of ['insmod', 'rmmod', 'modinfo']) await symlink('/bin/kmod', join(names, name));
  const libraries = join(unpacked, 'usr/lib/x86_64-linux-gnu');
  // The library is named too for what it needs itself.
  return { programs: [join(unpacked, 'bin/kmod'), join(libraries, 'libkmod.so.2')], libraries, names };
}

/**
 * kstitch loads what has a record. Of upstream's livepatches these say that they patch nothing and change no state, so that the
 * kernel is asked, and that their modules may be removed, which the scripts do.
 */
async function writeRecords(modules: string, release: string): Promise<void> {
  const { kit } = await testKit(release);
  const { buildId } = await loadKernel(kit);
  for (const file of await readdir(modules)) {
    const bytes = file.endsWith('.ko') ? await readFile(join(modules, file)) : Buffer.alloc(0);
    if (!bytes.includes('livepatch=Y')) continue;
    const module = file.replace(/\.ko$/, '');
    const record = {
      schema: 'kstitch/bundle/1',
      kstitch: '0',
      module,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      kernel: { release, packageVersion: kit.packageVersion, buildId },
      objects: [],
      states: [],
      identity: [],
      acceptedLayouts: [],
      newSymbols: [],
      references: [],
      exportedSymbols: [],
      patches: [],
      cves: [],
      toolchain: { compiler: '', linker: '' },
      runPre: { units: 0, functions: 0, relocations: 0, jumpLabelSites: 0, widthOnlyDifferences: 0 },
      specialSections: {},
      klpRelocations: 0,
      replace: false,
      unload: { verdict: 'safe', reasons: [] },
      reload: [],
      cautions: [],
    };
    await writeFile(join(modules, `${module}.json`), JSON.stringify(record));
  }
}

/** kstitch finds the real insmod, not this program again. */
const shared = `#!/bin/bash
export PATH=/kmod:/bin
kstitch() { node /kstitch/packages/cli/src/main.ts "$@" --json 2> /dev/null; }
# value KEY FILE: the first text of that name
value() { sed -n '/^ *"'"$1"'": "/{s/^[^:]*: "\\(.*\\)",\\{0,1\\}$/\\1/p;q}' "$2"; }
`;

/**
 * A livepatch that is loaded without parameters, which kstitch has none of. As insmod does, it ends before a transition that does
 * not end; of the others it waits for kstitch's own end.
 */
const insmod = `${shared}
name=$(basename "$1" .ko)
if [ $# != 1 ] || [ ! -e "\${1%.ko}.json" ]; then exec insmod "$@"; fi
result=/tmp/load.$name
# Whoever reads what insmod says waits for the end of all that hold the pipe.
kstitch load "$PWD/$1" --timeout 600 > $result 2> /dev/null &
# Long before the kernel signals whoever is in the way, after 15 s, and says so, which the scripts do not expect.
began=
while kill -0 $! 2> /dev/null; do
	IFS=. read -r now _ < /proc/uptime
	# kstitch has work of its own after a transition, which takes seconds on an emulated processor.
	if [ "$(cat /sys/kernel/livepatch/$name/transition 2> /dev/null)" = 1 ]; then began=\${began:-$now}; else began=; fi
	[ $((now - \${began:-$now})) -gt 3 ] && { echo "load $name: blocked" >> /kstitch.log; exit 0; }
	sleep .1
done
wait $! && { echo "load $name: $(value verdict $result)" >> /kstitch.log; exit 0; }
code=$(value code $result)
echo "load $name: $code" >> /kstitch.log
if [ "$code" = load-kernel-refused ]; then
	# The first note is what insmod said.
	sed -n '/"notes"/{n;s/^ *"\\(.*\\)",\\{0,1\\}$/insmod: ERROR: \\1/p;q}' $result | sed 's#module [^ ]*/#module test_modules/#' >&2
else
	said=$(value message $result)
	echo "kstitch: \${said:-$(cat $result)}" >&2
fi
exit 1
`;

const rmmod = `${shared}
record=/var/lib/kstitch/livepatches/$(uname -r)/$1.json
if [ ! -e $record ]; then exec rmmod "$@"; fi
result=/tmp/unload.$1
kstitch unload "$1" --grace 0 > $result && said=$(value result $result) || said=$(value code $result)
echo "unload $1: $said" >> /kstitch.log
[ "$said" = removed ] || { cat $result; exit 1; }
`;
