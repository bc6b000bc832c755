// SPDX-License-Identifier: Apache-2.0
/*
 * A process that is never idle while a window is open: it writes a byte to a pipe and reads it back, over and over, and takes the time
 * of each round. What is between two rounds and is no work of its own is a pause that it saw.
 *
 *   busy CONTROL: CONTROL is a file with one byte, the number of the window that rounds are counted for, 0 for none. When the
 *   number changes, one line is printed for the window that is over: its number, the longest round in nanoseconds, and
 *   `bucket:count` for each bucket that has rounds. 255 ends it.
 *
 * Each power of two has 16 buckets: number 16 * n + m begins at 2^n * (1 + m / 16) nanoseconds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { perDoubling = 16, buckets = 64 * perDoubling, end = 255 };

static uint64_t counts[buckets];
static uint64_t longest;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void tell(int window)
{
	printf("%d %llu", window, (unsigned long long)longest);
	for (int i = 0; i < buckets; i++)
		if (counts[i] > 0)
			printf(" %d:%llu", i, (unsigned long long)counts[i]);
	printf("\n");
	fflush(stdout);
	memset(counts, 0, sizeof(counts));
	longest = 0;
}

int main(int argc, char **argv)
{
	int pipes[2];
	char byte = 0;
	int control = open(argv[argc - 1], O_RDONLY);
	const volatile unsigned char *number = mmap(NULL, 1, PROT_READ, MAP_SHARED, control, 0);

	if (number == MAP_FAILED || pipe(pipes) != 0)
		return 1;
	int window = 0;
	uint64_t last = now();
	for (;;) {
		if (write(pipes[1], &byte, 1) != 1 || read(pipes[0], &byte, 1) != 1)
			return 2;
		uint64_t time = now();
		uint64_t took = time - last;
		last = time;
		if (*number != window) {
			if (window != 0)
				tell(window);
			window = *number;
			if (window == end)
				return 0;
			/* Printing took its time. */
			last = now();
			continue;
		}
		if (window == 0) {
			usleep(1000);
			last = now();
			continue;
		}
		/* Shorter ones have no bucket: the shift below would be by less than nothing. */
		if (took < perDoubling)
			took = perDoubling;
		int power = 63 - __builtin_clzll(took);
		counts[power * perDoubling + (took >> (power - 4)) % perDoubling]++;
		if (took > longest)
			longest = took;
	}
}
