# SPDX-License-Identifier: Apache-2.0
# Run in a virtual machine by record-machine.ts: brings the kernel into the states that `kstitch status` tells apart and
# copies, of each, the files that packages/manager reads. $EXT4, $PIPE, $KTHREADD: names of the livepatches.

mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security

copy() {
	for file in "$@"; do
		[ -f "$file" ] || continue
		mkdir -p "$tree/${file%/*}"
		cat "$file" >"$tree/$file" 2>/dev/null || rm -f "$tree/$file"
	done
}

record() {
	tree=/tmp/trees/$1
	mkdir -p "$tree/sys/kernel/livepatch"
	# First, and of each task together: the kernel moves a blocker 15 s after the transition began.
	for task in /proc/[0-9]*/task/[0-9]*; do copy "$task/patch_state" "$task/stack"; done
	copy /proc/[0-9]*/task/[0-9]*/comm /proc/[0-9]*/task/[0-9]*/stat /proc/modules /proc/meminfo /proc/uptime
	copy /proc/sys/kernel/osrelease /proc/sys/kernel/ftrace_enabled /proc/sys/kernel/tainted
	copy /proc/sys/kernel/modules_disabled /proc/sys/kernel/random/boot_id
	copy /sys/kernel/notes /sys/kernel/security/lockdown /sys/module/module/parameters/sig_enforce
	copy /sys/module/kstitch*/refcnt /sys/module/kstitch*/taint /sys/module/kstitch*/initstate
	copy /sys/kernel/debug/kprobes/list /sys/kernel/tracing/enabled_functions
	copy /sys/kernel/livepatch/*/enabled /sys/kernel/livepatch/*/transition /sys/kernel/livepatch/*/replace
	copy /sys/kernel/livepatch/*/*/patched
	for folder in /sys/kernel/livepatch/*/*/*/; do
		[ -d "$folder" ] && mkdir -p "$tree/$folder"
	done
	# One in 500 of 40 thousand, and those that the livepatches patch.
	awk 'NR % 500 == 1 || /^(ext4_mb_init_group|ext4_mb_load_buddy_gfp|pipe_read|kthreadd)$/' \
		/sys/kernel/tracing/available_filter_functions >/tmp/functions
	mkdir -p "$tree/sys/kernel/tracing"
	mv /tmp/functions "$tree/sys/kernel/tracing/available_filter_functions"
}

wait_for() {
	until [ "$(cat "/sys/kernel/livepatch/$1/transition" 2>/dev/null || echo gone)" = "$2" ]; do sleep 1; done
}

# Whoever waits for the end of a pipe sleeps in pipe_read().
sleep 10000 | cat >/dev/null &
sleep 1

echo 'p:at_entry ext4_mb_load_buddy_gfp' >/sys/kernel/tracing/kprobe_events
echo 'p:inside ext4_mb_load_buddy_gfp+5' >>/sys/kernel/tracing/kprobe_events
echo 'r:at_return ext4_mb_init_group' >>/sys/kernel/tracing/kprobe_events
for event in at_entry inside at_return; do echo 1 >"/sys/kernel/tracing/events/kprobes/$event/enable"; done
record kprobes
echo 0 >/sys/kernel/tracing/events/kprobes/enable
echo >/sys/kernel/tracing/kprobe_events
record bare

insmod "/$EXT4.ko" || exit 2
wait_for "$EXT4" 0
record active

insmod "/$PIPE.ko" || exit 3
sleep 1
record enabling-task
# The kernel itself wakes the task after 15 s.
wait_for "$PIPE" 0
echo 0 >"/sys/kernel/livepatch/$PIPE/enabled"
sleep 1
record disabling-task
wait_for "$PIPE" gone
record disabled

insmod "/$KTHREADD.ko" || exit 4
sleep 2
record enabling-kthread
echo 0 >"/sys/kernel/livepatch/$KTHREADD/enabled"
wait_for "$KTHREADD" gone

tar -C /tmp/trees -cf - .
