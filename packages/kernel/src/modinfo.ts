/** What a module says of itself: `.modinfo`, a run of `key=value` strings (include/linux/moduleparam.h, `MODULE_INFO`). */
import { latin1 } from '@kstitch/elf/byte-reader';
import type { ElfFile } from '@kstitch/elf/model';
import { moduleNameOf } from './module-name.ts';

export class Modinfo {
  /** In the order of the section. */
  readonly entries: readonly (readonly [key: string, value: string])[];

  constructor(entries: readonly (readonly [key: string, value: string])[]) {
    this.entries = entries;
  }

  /** @returns the value of a key that stands once, the first otherwise: `vermagic`, `name`, `license` */
  get(key: string): string | undefined {
    return this.entries.find(([found]) => found === key)?.[1];
  }

  /** @returns the values of a key that stands several times: `alias`, `parm`, `import_ns` */
  all(key: string): readonly string[] {
    return this.entries.filter(([found]) => found === key).map(([, value]) => value);
  }

  /** The names of the modules that must be loaded before, as the running kernel has them. */
  get depends(): readonly string[] {
    return (this.get('depends') ?? '')
      .split(',')
      .filter(name => name !== '')
      .map(moduleNameOf);
  }
}

/** @returns what stands in the section(s) `.modinfo`; empty when there is none */
export function readModinfo(elf: ElfFile): Modinfo {
  const entries = elf.sections
    .filter(({ name }) => name === '.modinfo')
    .flatMap(({ bytes }) => latin1(bytes).split('\0'))
    .filter(text => text !== '')
    .map((text): readonly [string, string] => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    });
  return new Modinfo(entries);
}
