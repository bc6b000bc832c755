/**
 * @param path - a module's file or name: `kernel/drivers/block/virtio-blk.ko.xz`, `virtio-blk`
 * @returns what the running kernel calls it: `virtio_blk` (scripts/Makefile.lib, `name-fix`)
 */
export function moduleNameOf(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.(?:k?o)(?:\.(?:gz|xz|zst))?$/, '').replaceAll('-', '_');
}
