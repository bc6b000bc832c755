/**
 * For `node --import`: /proc and /sys are those below RECORDED_ROOT. So the whole process of a command can be measured on a
 * recorded machine, which the command itself has no option for.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const recorded = process.env['RECORDED_ROOT'] ?? '';
const { openSync, readdirSync } = fs;

function below(path: unknown): unknown {
  return typeof path === 'string' && /^\/(?:proc|sys)(?:\/|$)/.test(path) ? recorded + path : path;
}

// What the manager's Machine calls.
Object.assign(fs, {
  openSync: (path: unknown, ...rest: unknown[]) => Reflect.apply(openSync, fs, [below(path), ...rest]),
  readdirSync: (path: unknown, ...rest: unknown[]) => Reflect.apply(readdirSync, fs, [below(path), ...rest]),
});
syncBuiltinESMExports();
