/**
 * The environment make is run in: this process's PATH and nothing else of it, because kbuild listens to dozens of
 * variables (ARCH, KCFLAGS, CROSS_COMPILE, MAKEFLAGS, …) that would change what it compiles.
 */
export function kbuildEnvironment(): Readonly<Record<string, string>> {
  const kept = ['PATH', 'HOME', 'TMPDIR'] as const;
  return Object.fromEntries(
    kept.flatMap(name => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
