#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows the ext4 regression of Debian kernel 6.1.192-1 (Debian bug 1154101): once the pages of a block group's buddy bitmap
# have been dropped from memory, the next allocation in that group follows a NULL folio.
#
# Run by `kstitch prove` inside a virtual machine: KSTITCH_DISK is a fresh ext4, KSTITCH_MOUNT a folder to mount it on.
# Exit status: 0 = the bug is absent, 1 = present, anything else = something is wrong with this script or its surroundings.
# A kernel that has the bug does not come to the end of it: it crashes while it writes the second file back.

say() {
	echo "reproducer: $*"
}

# write NAME: 8 MiB that must be allocated on the disk now.
write() {
	say "write $1"
	dd if=/dev/urandom of="$KSTITCH_MOUNT/$1" bs=1M count=8 2>/dev/null || return 1
	sync
}

mount -t ext4 "$KSTITCH_DISK" "$KSTITCH_MOUNT" || exit 2

# The first allocation reads the bitmaps in and builds the buddy pages.
write first || exit 3

# They are page cache, and the kernel may drop them whenever it needs memory.
say 'drop caches'
echo 3 >/proc/sys/vm/drop_caches || exit 4

# The second allocation must cope with that.
write second || exit 1

# What was written must be there, read from the disk and not from memory.
before=$(cat "$KSTITCH_MOUNT/first" "$KSTITCH_MOUNT/second" | md5sum)
umount "$KSTITCH_MOUNT" || exit 1
mount -t ext4 "$KSTITCH_DISK" "$KSTITCH_MOUNT" || exit 1
after=$(cat "$KSTITCH_MOUNT/first" "$KSTITCH_MOUNT/second" | md5sum)
umount "$KSTITCH_MOUNT" || exit 1
[ "$before" = "$after" ] || exit 1

say 'both files are whole'
exit 0
