import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest, readText, root } from '../repository.ts';

const head = `kstitch, livepatches for stock Debian kernels

The program is licensed under the Apache License, Version 2.0, which is in
/usr/share/common-licenses/Apache-2.0 on Debian systems.

The C templates that become part of a livepatch module are licensed under
version 2 of the GNU General Public License alone, which is in
/usr/share/common-licenses/GPL-2.

/usr/bin/kstitch also holds the works below, under their own licenses.
`;

/** @returns the file `copyright`: our licences, and the whole text of those of the npm packages in the executable */
export function writeCopyright(packages: readonly string[]): string {
  const texts = packages.map(name => {
    const folder = `node_modules/${name}`;
    const file = readdirSync(join(root, folder)).find(entry => /^licen[cs]e(?:\.\w+)?$/i.test(entry));
    if (file === undefined) throw new Error(`'${name}' brings no licence`);
    const { version } = readManifest(`${folder}/package.json`);
    const title = `${name} ${version}`;
    return `${title}\n${'='.repeat(title.length)}\n\n${readText(`${folder}/${file}`).replaceAll('\r', '').trim()}\n`;
  });
  return [head, ...texts].join('\n');
}
