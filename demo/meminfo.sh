#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whether /proc/meminfo still shows the line that meminfo.patch changes. Leaves the kernel as it is.
# Exit status: 0 = changed (the synthetic bug is absent), 1 = as shipped.
if grep -q '^VmallocChunk: *0 kB' /proc/meminfo; then
	exit 1
fi
grep -q '^VmallocChunk: *168 kB' /proc/meminfo || exit 2
exit 0
