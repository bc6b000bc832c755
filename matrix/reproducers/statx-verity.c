// SPDX-License-Identifier: Apache-2.0
/*
 * Whether statx() says that the kernel knows about fs-verity files at all: STATX_ATTR_VERITY in stx_attributes_mask. Linux 6.12.117
 * says so for every file system; before, only those did that told themselves, and /proc is none of them.
 *
 * Exit status: 0 = the bug is absent, 1 = present, else something is wrong with this program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#ifndef STATX_ATTR_VERITY
#define STATX_ATTR_VERITY 0x00100000
#endif

int main(void)
{
	struct statx found;

	if (statx(AT_FDCWD, "/proc/version", 0, STATX_BASIC_STATS, &found))
		return 2;
	printf("stx_attributes_mask 0x%llx\n", (unsigned long long)found.stx_attributes_mask);
	return found.stx_attributes_mask & STATX_ATTR_VERITY ? 0 : 1;
}
