/** `x [module]`; a function of vmlinux has no module behind it. */
export interface FunctionName {
  readonly object: string;
  readonly name: string;
}

export function keyOf({ object, name }: FunctionName): string {
  return `${object}:${name}`;
}
