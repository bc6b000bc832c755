import type { CatalogueEntry } from './entry.ts';

export const cliCodes = {
  usage: {
    kind: 'usage',
    meaning:
      'The command line does not fit the command: an unknown option, a missing argument, a value of the wrong form.',
    help: 'run the command with --help to see its arguments and an example',
    example: "unknown option '--kernal' (did you mean --kernel?)",
  },
  interrupted: {
    kind: 'interrupted',
    meaning:
      'Ctrl-C, SIGTERM or SIGHUP ended the run. Subprocesses were ended and temporary files removed; finished work stays in the cache.',
    help: 'run the same command again: it goes on with what is already in the cache',
    example: 'stopped by SIGINT',
  },
  'input-unreadable': {
    kind: 'error',
    meaning:
      'A file or folder named on the command line cannot be read: it is missing, it is the one where the other is wanted, or its permissions forbid it.',
    help: 'check the path, and that this user may read what is there',
    example: "read patch 'ext4.patch': no such file or directory",
  },
  'input-too-large': {
    kind: 'error',
    meaning:
      'A file named on the command line is larger than anything sensible of its kind. The limit guards against the wrong file, not against memory.',
    help: 'check that this is the file that was meant',
    example: "read patch 'vmlinux': more than the 16 MiB that a patch may have",
  },
  'input-not-text': {
    kind: 'error',
    meaning: 'A reproducer or a bundle is not UTF-8 text: it may be compressed, or another file altogether.',
    help: 'check that this is the file that was meant; a script in another character set can be converted with iconv',
    example: "read reproducer 'repro.sh.xz': not UTF-8 text, first at byte 0",
  },
  'output-failed': {
    kind: 'error',
    meaning: 'The result could not be written to standard output or to the file named with --output.',
    help: 'make room, or write somewhere else',
    example: 'write the result to standard output: no space left on device',
  },
  'delta-empty': {
    kind: 'nothing',
    meaning: 'The two kernel versions do not differ in the files named; there is no patch to write.',
    help: "leave the files out to see everything that differs, or see the package's changelog for what the versions changed",
    example: "nothing differs between '6.1.192-1' and '6.1.192-2' in 'fs/ext4/super.c'",
  },
  'internal-error': {
    kind: 'error',
    meaning:
      'kstitch met a case that its authors did not think of. Nothing was loaded, and what is in the cache is complete.',
    help: 'this is a defect of kstitch: run the command again with --debug, and report the output with the command, the kernel release and the patch',
    example: 'unexpected failure: sections is not iterable',
  },
} as const satisfies Record<string, CatalogueEntry>;
