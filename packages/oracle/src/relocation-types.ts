/** @returns whether the field holds a distance from itself */
export function isRelative(type: string): boolean {
  return type === 'R_X86_64_PC32' || type === 'R_X86_64_PLT32' || type === 'R_X86_64_PC64';
}

/** @returns bytes that a relocation of this type fills in; none for R_X86_64_NONE */
export function fieldSize(type: string): number {
  if (type === 'R_X86_64_NONE') return 0;
  return type === 'R_X86_64_64' || type === 'R_X86_64_PC64' ? 8 : 4;
}
