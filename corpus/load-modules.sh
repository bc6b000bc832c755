# SPDX-License-Identifier: Apache-2.0
# Run in the virtual machine: loads, disables and removes every livepatch of /kstitch/corpus/list, whose lines are
# `LIVEPATCH MODULE…`: the modules, in order, that its target needs, and the target.
# Output: `LIVEPATCH ok OBJECT…`, `LIVEPATCH stalled TASK…`, `LIVEPATCH failed WHAT`, `LIVEPATCH says LINE`.
here=/kstitch/corpus
limit=60

# What the kernel says from now on belongs to step $1.
step() {
	echo "<5>kstitch: step $1" >/dev/kmsg
}

# wait_for COMMAND…: until it succeeds, at most $limit seconds.
wait_for() {
	tries=0
	until "$@" 2>/tmp/words; do
		tries=$((tries + 1))
		[ "$tries" -gt $((limit * 10)) ] && return 1
		usleep 100000
	done
}

in_force() {
	[ "$(cat "$patch/transition")" = 0 ] && [ "$(cat "$patch/enabled")" = 1 ]
}

gone() {
	[ ! -e "$patch" ]
}

# Names of the tasks that the transition waits for.
stragglers() {
	for state in /proc/[0-9]*/task/*/patch_state; do
		[ "$(cat "$state" 2>/dev/null)" = 0 ] && cat "${state%patch_state}comm"
	done | sort -u | tr '\n' ' '
}

# Disables $name and removes it; a transition under way is reversed.
take_out() {
	echo 0 >"$patch/enabled"
	if ! wait_for gone; then
		echo "$name failed to be disabled"
		return 1
	fi
	if ! wait_for rmmod "$name"; then
		echo "$name failed to be removed"
		says </tmp/words
		return 1
	fi
}

says() {
	while IFS= read -r line; do
		echo "$name says $line"
	done
}

# Loads, disables and removes $name; prints one result.
pass() {
	step "$name"
	patch=/sys/kernel/livepatch/$name
	dmesg -c >/dev/null
	if ! insmod "$here/$name.ko" 2>/tmp/words; then
		echo "$name failed to load"
		says </tmp/words
		dmesg | tail -n 8 | says
		return
	fi
	if ! wait_for in_force; then
		who=$(stragglers)
		take_out && echo "$name stalled ${who:-idle-processor}"
		return
	fi
	objects=
	for object in "$patch"/*/; do
		[ "$(cat "$object/patched" 2>/dev/null)" = 1 ] && objects="$objects $(basename "$object")"
	done
	take_out && echo "$name ok$objects"
}

while read -r name targets; do
	for target in $targets; do
		[ -e "/sys/module/$target" ] && continue
		step "target-$target"
		insmod "$here/target-$target.ko" 2>/dev/null
	done
	pass
done <$here/list
exit 0
