/**
 * Where the shipped kernel has what a compiled unit refers to. A name may be that of several symbols; the shipped code
 * tells which one is meant: a function that stands in the image as it was compiled leads, through each of its
 * relocations, to the very symbol.
 */
import { fieldSize } from './relocation-types.ts';
import type { Shipped } from './shipped.ts';
import { branchSites, type UnitTables } from './special-tables.ts';
import type { Meaning, Part, UnitParts } from './unit-parts.ts';

export interface PlacedUnit {
  /** @returns where the shipped object has a part, where its code says so without contradiction */
  addressOf(part: Part): bigint | undefined;
  /** @returns where the shipped object has a symbol of another unit */
  addressOfExternal(name: string): bigint | undefined;
}

/** @param unit - before the patch */
export function placeUnit(unit: UnitParts, tables: UnitTables, shipped: Shipped): PlacedUnit {
  const votes = new Map<Part | string, Set<bigint>>();
  const vote = (key: Part | string, address: bigint): void => {
    const known = votes.get(key);
    if (known === undefined) votes.set(key, new Set([address]));
    else known.add(address);
  };
  for (const part of unit.parts) {
    if (part.kind !== 'function' || part.size === 0) continue;
    const found = shipped
      .named(part.name)
      .filter(({ address }) => standsAt(unit, tables, part, shipped, address));
    const [place] = found;
    if (place === undefined || found.length > 1) continue;
    vote(part, place.address);
    const sites = branchSites(unit, tables, part);
    for (const relocation of unit.object.relocationsIn(part.section.index, part.start, part.size)) {
      const offset = relocation.offset - part.start;
      if (isInSite(sites, offset)) continue;
      const pointee = shipped.pointee(place.address + BigInt(offset), relocation.type);
      if (pointee === undefined) continue;
      const meaning = unit.meaning(part.section, relocation);
      const key = keyOf(meaning);
      if (key === undefined || meaning.kind === 'string') continue;
      const distance = BigInt(unit.distance(part.section, relocation));
      vote(key, BigInt.asUintN(64, pointee + distance - BigInt(meaning.offset)));
    }
  }
  const decided = (key: Part | string): bigint | undefined => {
    const addresses = votes.get(key);
    const [address] = addresses ?? [];
    return addresses?.size === 1 ? address : undefined;
  };
  return { addressOf: decided, addressOfExternal: decided };
}

function keyOf(meaning: Meaning): Part | string | undefined {
  if (meaning.kind === 'external') return meaning.name;
  return meaning.kind === 'part' ? meaning.part : undefined;
}

/** @returns whether the shipped object has the function's bytes there, relocated fields and static branches aside */
function standsAt(
  unit: UnitParts,
  tables: UnitTables,
  part: Part,
  shipped: Shipped,
  address: bigint,
): boolean {
  const there = shipped.bytes(address, part.size);
  if (there === undefined) return false;
  const ours = Buffer.from(unit.object.bytes(part.section, part.start, part.size));
  const theirs = Buffer.from(there);
  const mask = (offset: number, size: number): void => {
    ours.fill(0, offset, offset + size);
    theirs.fill(0, offset, offset + size);
  };
  for (const { offset, type } of unit.object.relocationsIn(part.section.index, part.start, part.size)) {
    mask(offset - part.start, fieldSize(type));
  }
  for (const [offset, { length }] of branchSites(unit, tables, part)) mask(offset, length);
  return ours.equals(theirs);
}

function isInSite(sites: ReturnType<typeof branchSites>, offset: number): boolean {
  for (const [start, { length }] of sites) if (offset >= start && offset < start + length) return true;
  return false;
}
