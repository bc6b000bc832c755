// SPDX-License-Identifier: Apache-2.0
/*
 * What a POSIX timer that signals nobody (SIGEV_NONE) says is left of it once it was disarmed: nothing, since Linux 6.12.118;
 * before, what was left when it was armed.
 *
 * Exit status: 0 = the bug is absent, 1 = present, else something is wrong with this program.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct sigevent nobody = { .sigev_notify = SIGEV_NONE };
	struct itimerspec armed = { .it_value = { .tv_sec = 100 } };
	struct itimerspec disarmed = { 0 };
	struct itimerspec left;
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &nobody, &timer) || timer_settime(timer, 0, &armed, NULL))
		return 2;
	if (timer_gettime(timer, &left) || left.it_value.tv_sec == 0)
		return 3;
	if (timer_settime(timer, 0, &disarmed, NULL) || timer_gettime(timer, &left))
		return 4;
	printf("left of a disarmed timer: %ld.%09ld s\n", (long)left.it_value.tv_sec, left.it_value.tv_nsec);
	return left.it_value.tv_sec != 0 || left.it_value.tv_nsec != 0;
}
