/**
 * In a mount namespace of its own (`unshare --mount --map-root-user`): puts a recorded machine in the place of the one that runs, and
 * measures `kstitch list` there, the whole process, as a person starts it. Prints JSON: samples by command, in milliseconds.
 *
 *   list-child.ts MACHINE LIVEPATCH RUNS KSTITCH…
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runTimed } from './run-timed.ts';

const [machine = '', livepatch = '', runs = '', ...launchers] = process.argv.slice(2);

bind(join(machine, 'sys'), '/sys');
// The processes are those of this machine: node needs its own, and no task is looked at where no transition goes on.
for (const path of readdirSync(join(machine, 'proc'), { recursive: true, encoding: 'utf8' })) {
  const [recorded, running] = [join(machine, 'proc', path), join('/proc', path)];
  if (!/^\d/.test(path) && statSync(recorded).isFile() && existsSync(running)) bind(recorded, running);
}

export interface ListSamples {
  readonly wall: number[];
  readonly processor: number[];
}

const samples: Record<string, ListSamples> = {};
for (const launcher of launchers) {
  check(launcher);
  const own: ListSamples = { wall: [], processor: [] };
  samples[launcher] = own;
  for (let run = 0; run < Number(runs); run += 1) {
    const begin = performance.now();
    spawnSync(launcher, ['list'], { stdio: 'ignore' });
    own.wall.push(performance.now() - begin);
    const { processor } = await runTimed([launcher, 'list'], { output: 'ignore' });
    own.processor.push(1000 * processor);
  }
}
console.log(JSON.stringify(samples));

/** What is measured is a list with the livepatch in it, and what it mends; and code that the first run has put into the cache. */
function check(launcher: string): void {
  const { stdout, stderr } = spawnSync(launcher, ['list', '--json'], { encoding: 'utf8' });
  const { livepatches = [] } = JSON.parse(stdout) as {
    livepatches?: readonly { name: string; known: boolean }[];
  };
  if (!livepatches.some(({ name, known }) => known && name === livepatch))
    throw new Error(`'${launcher} list' does not see the recorded machine\n${stdout}${stderr}`);
}

function bind(from: string, to: string): void {
  const { status, stderr } = spawnSync('mount', ['--bind', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount '${from}' on '${to}': ${stderr}`);
}
