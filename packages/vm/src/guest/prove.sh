# SPDX-License-Identifier: Apache-2.0
# Read by init.sh: one boot of a proof.
# PLAN: bare or patched. MODULE: the livepatch's name. TIMEOUT, TRANSITION_LIMIT: seconds. NON_DESTRUCTIVE, REMOVABLE: yes or
# no. DISKS: one fresh file system for each run of the reproducer, in order.

patch=/sys/kernel/livepatch/$MODULE

# uptime VARIABLE: seconds since boot, to a hundredth.
uptime() {
	read -r up rest </proc/uptime
	eval "$1=\$up"
}

# reproduce NAME: one run of the reproducer, on the next disk.
reproduce() {
	step "reproduce-$1"
	disk=${DISKS%% *}
	DISKS=${DISKS#* }
	uptime began
	KSTITCH_DISK=$disk KSTITCH_MOUNT=/mnt setsid sh /kstitch/reproducer </dev/null >&9 2>&1 9>&- &
	reproducer=$!
	# No end in time is a result, and the last one of this boot: what hangs would keep the file system and the module. The
	# kernel says who waits for what.
	(
		sleep "$TIMEOUT"
		emit "reproducer $1 timeout"
		step "timeout-$1"
		echo w >/proc/sysrq-trigger
		finish
	) &
	watchdog=$!
	wait "$reproducer"
	status=$?
	kill "$watchdog"
	uptime ended
	emit "reproducer $1 status=$status began=$began ended=$ended"
	step "cleanup-$1"
	kill -9 -"$reproducer" 2>/dev/null
	while grep -q ' /mnt ' /proc/mounts; do
		umount /mnt 2>/dev/null || umount -l /mnt
	done
}

# expect NAME STATUS: a run of the reproducer whose result decides whether the proof goes on.
expect() {
	reproduce "$1"
	[ "$status" = "$2" ] || finish
}

# blockers TARGET: the tasks that are not yet in the state TARGET (Documentation/livepatch/livepatch.rst, "Consistency model").
blockers() {
	for file in /proc/[0-9]*/task/[0-9]*/patch_state; do
		read -r state <"$file" || continue
		[ "$state" = "$1" ] && continue
		task=${file%/patch_state}
		read -r name <"$task/comm" || continue
		emit "text blocker $(printf '%s %s' "${task##*/}" "$name")"
		head -n 8 "$task/stack" | text blocker-stack
	done 2>/dev/null
}

# settle STEP TARGET: waits until no transition is under way; TARGET is the patch_state that all tasks have then. A disabled
# livepatch is gone from sysfs as soon as its transition has ended.
settle() {
	step "$1"
	uptime began
	deadline=$((${began%.*} + TRANSITION_LIMIT))
	while [ -e "$patch/transition" ]; do
		read -r transition <"$patch/transition" || break
		read -r enabled <"$patch/enabled" || break
		[ "$2" = 1 ] && [ "$transition" = 0 ] && [ "$enabled" = 1 ] && break
		uptime now
		if [ "${now%.*}" -gt "$deadline" ]; then
			emit "stuck $1"
			blockers "$2"
			finish
		fi
		usleep 20000
	done
	uptime ended
	if [ "$2" = 1 ] && [ ! -e "$patch/enabled" ]; then
		emit "vanished $1"
		finish
	fi
	emit "settled $1 began=$began ended=$ended"
}

# load NAME
load() {
	step "$1"
	uptime began
	if ! insmod /kstitch/livepatch.ko 2>/tmp/insmod; then
		text insmod </tmp/insmod
		emit "refused $1"
		finish
	fi
	uptime ended
	emit "loaded $1 began=$began ended=$ended"
	settle "$1-transition" 1
}

# unload: the last task may have left the livepatch only just now, so that its module is still in use.
unload() {
	step unload
	uptime began
	tries=0
	until rmmod "$MODULE" 2>/tmp/rmmod; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ]; then
			text rmmod </tmp/rmmod
			emit "unremoved unload"
			finish
		fi
		usleep 100000
	done
	uptime ended
	emit "unloaded unload began=$began ended=$ended"
}

if [ "$PLAN" = bare ]; then
	reproduce bare
	finish
fi

[ "$NON_DESTRUCTIVE" = yes ] && expect before 1
load load
expect patched 0
step disable
echo 0 >"$patch/enabled"
settle disable-transition 0
[ "$NON_DESTRUCTIVE" = yes ] && expect disabled 1
if [ "$REMOVABLE" = yes ]; then
	unload
	load reload
	expect reloaded 0
fi
finish
