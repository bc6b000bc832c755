import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { findFiles, root } from '../repository.ts';

export interface Bundle {
  /** Path of the program in one CommonJS file, as a single executable wants it. */
  readonly script: string;
  /** Paths of the files that it reads at run time, by the names under which it asks for them. */
  readonly assets: Readonly<Record<string, string>>;
  /** The npm packages in it. */
  readonly packages: readonly string[];
}

/** Texts that `readAsset()` (packages/host) hands out, and iced-x86's code. */
export const assetFiles = [
  'packages/livepatch/templates/*',
  'packages/vm/src/guest/*',
  'node_modules/iced-x86/iced_x86_bg.wasm',
];

/** iced-x86 reads its code from beside its script, where a single executable has nothing. */
const icedReads = `const path = require('path').join(__dirname, 'iced_x86_bg.wasm');
const bytes = require('fs').readFileSync(path);`;
const icedAsks = `const bytes = Buffer.from(require('node:sea').getRawAsset('iced_x86_bg.wasm'));`;

/** What `createRequire()` makes is hidden from the bundler: here it leads to the one package that is loaded that way. */
const moduleShim = `exports.createRequire = () => name => {
  if (name === 'iced-x86') return require('iced-x86');
  throw new Error('not in this executable: ' + name);
};`;

/**
 * @param directory - an empty folder for what is made on the way
 * @throws Error - when esbuild is missing, or something that is read at run time would be missing
 */
export function bundle(directory: string): Bundle {
  const iced = readFileSync(join(root, 'node_modules/iced-x86/iced_x86.js'), 'utf8');
  if (!iced.includes(icedReads)) throw new Error('iced-x86 no longer reads its code as bundle.ts expects');
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const script = join(directory, 'kstitch.cjs');
  const record = join(directory, 'bundle.json');
  // Short, and yet without other names and with lines: the stack of an internal error shall be readable.
  execFileSync(
    join(root, 'node_modules/@esbuild/linux-x64/bin/esbuild'),
    [
      'packages/cli/src/main.ts',
      '--bundle',
      '--platform=node',
      '--target=node24',
      '--format=cjs',
      '--minify-whitespace',
      '--line-limit=120',
      '--legal-comments=none',
      '--log-level=warning',
      `--outfile=${script}`,
      `--metafile=${record}`,
      `--alias:iced-x86=${write('iced.cjs', iced.replace(icedReads, icedAsks))}`,
      `--alias:node:module=${write('module.cjs', moduleShim)}`,
      '--define:import.meta.main=true',
      // Only names of assets are ever made from it.
      '--define:import.meta.url="file:///kstitch/packages/cli/src/main.ts"',
    ],
    { cwd: root },
  );
  // Where it was made is no part of it.
  const place = relative(root, directory);
  write('kstitch.cjs', readFileSync(script, 'utf8').replaceAll(place, 'scripts/package'));
  const { inputs } = JSON.parse(readFileSync(record, 'utf8')) as { readonly inputs: object };
  const packages = Object.keys(inputs).flatMap(
    path => /^node_modules\/(?<name>(?:@[^/]+\/)?[^/]+)/.exec(path)?.groups?.['name'] ?? [],
  );
  return {
    script,
    assets: collectAssets(assetFiles),
    packages: [...new Set([...packages, 'iced-x86'])].sort(),
  };
}

/** @throws Error - when two have one name, or none is found for a pattern */
function collectAssets(patterns: readonly string[]): Record<string, string> {
  const assets: Record<string, string> = {};
  for (const pattern of patterns) {
    const files = pattern.startsWith('node_modules/') ? [pattern] : findFiles(pattern);
    if (files.length === 0) throw new Error(`no file is '${pattern}'`);
    for (const file of files) {
      const name = basename(file);
      if (assets[name] !== undefined) throw new Error(`two assets are called '${name}'`);
      assets[name] = join(root, file);
    }
  }
  return assets;
}
