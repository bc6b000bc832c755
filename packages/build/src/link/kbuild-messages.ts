/**
 * With IBT, objtool warns of each patched function whose address only the arrays of the wrapper take, for gcc gave it no
 * ENDBR. The address is never called: ftrace returns into the function.
 */
const fromPatchArrays = /^kstitch_functions_\d+\+0x[0-9a-f]+: data relocation to !ENDBR: /;

/**
 * @param stderr - what make said
 * @returns objtool's warnings and errors without the file name in front, but for the one kind that a livepatch always brings
 */
export function objtoolWarnings(stderr: string): readonly string[] {
  return stderr.split('\n').flatMap(line => {
    const said = /(?:^|: )(?:warning|error): objtool: (.*)$/.exec(line)?.[1]?.trim();
    return said === undefined || fromPatchArrays.test(said) ? [] : [said];
  });
}

/**
 * @param stderr - what make said
 * @returns modpost's errors: `"ext4_foo" [/work/x.ko] undefined!`, without the path
 */
export function modpostErrors(stderr: string): readonly string[] {
  return stderr.split('\n').flatMap(line => {
    const said = /^(?:ERROR|FATAL): modpost: (.*)$/.exec(line)?.[1]?.trim();
    return said === undefined ? [] : [said.replaceAll(/\[[^\]]*\/([^\]/]+)\]/g, '[$1]')];
  });
}
