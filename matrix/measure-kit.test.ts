import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitTimes } from './measure-kit.ts';

const step = (label: string, seconds: number) => ({ label, seconds, depth: 0, share: 0 });
const report = (steps: readonly ReturnType<typeof step>[]) => ({
  totalSeconds: 100,
  processorSeconds: 5,
  peakMemoryMiB: 300,
  betweenSeconds: 0,
  steps,
});

test('what the network decides is no part of the time that a kit takes', () => {
  const fetched = [
    step('fetch the package lists', 4),
    step('download linux-image-6.12.117+deb13-amd64 (108.5 MB)', 10.26),
    step('unpack the kernel source', 20),
  ];
  assert.deepEqual(splitTimes(report(fetched)), { seconds: 85.7, downloadSeconds: 14.3 });
});

test('a build root is a time of its own, apart from its packages', () => {
  const rooted = [
    step("choose the packages of a build root of 'trixie'", 2),
    step('download the build root (119 packages)', 8),
    step('unpack the build root', 30),
    step('prepare the kernel source', 40),
  ];
  assert.deepEqual(splitTimes(report(rooted)), { seconds: 60, downloadSeconds: 10, rootSeconds: 30 });
});
