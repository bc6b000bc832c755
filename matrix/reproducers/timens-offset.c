// SPDX-License-Identifier: Apache-2.0
/*
 * Whether an offset of a time namespace may have nanoseconds below zero. They are read as an unsigned number, so that 2^64 - 1
 * becomes -1, which only Linux 6.1.192 refuses.
 *
 * Exit status: 0 = the bug is absent, 1 = present, else something is wrong with this program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* One write: the kernel takes whole lines. */
static int set_offset(const char *line)
{
	int fd = open("/proc/self/timens_offsets", O_WRONLY);
	ssize_t written;

	if (fd < 0)
		return -1;
	written = write(fd, line, strlen(line));
	close(fd);
	return written < 0 ? -1 : 0;
}

int main(void)
{
	if (unshare(CLONE_NEWTIME))
		return 2;
	if (set_offset("monotonic 1 1\n"))
		return 3;
	if (set_offset("monotonic 1 18446744073709551615\n") == 0) {
		puts("an offset of -1 ns is taken");
		return 1;
	}
	printf("an offset of -1 ns: %s\n", strerror(errno));
	return errno == EINVAL ? 0 : 4;
}
