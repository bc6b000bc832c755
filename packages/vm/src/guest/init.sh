#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Process 1 of kstitch's virtual machines.
#
# ttyS0 carries the kernel log and nothing else. ttyS1 carries what is said here: lines `@NONCE KIND … @NONCE` are for
# kstitch (guest-channel.ts reads them), all other lines are what the script of this run prints.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox mount -t debugfs debug /sys/kernel/debug 2>/dev/null
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=dumb
. /kstitch/settings

exec </dev/null 9>/dev/ttyS1
stty -F /dev/ttyS1 raw -opost -echo
exec >&9 2>&9

# emit KIND REST…: one line for kstitch. The line break before it ends whatever a script left unfinished. The end of a child
# interrupts a write to a terminal, and ash does not go on with it (setsignal() of shell/ash.c: SIGCHLD is caught, without
# SA_RESTART): then all of it is said again, and what came of the first try has no end.
emit() {
	until printf '\n@%s %s @%s\n' "$NONCE" "$*" "$NONCE" >&9; do :; done
}

# text KEY: standard input, line by line, of each as much as fits into a frame.
text() {
	while IFS= read -r line || [ -n "$line" ]; do
		emit "text $1 $(printf '%.1000s' "$line")"
	done
}

# step NAME: what comes next, with what must not change meanwhile. The kernel log is told too, so that whoever reads it
# knows what the kernel was doing.
step() {
	read -r up rest </proc/uptime
	read -r boot </proc/sys/kernel/random/boot_id
	# Not `read`, which asks for one byte after the other: this file answers once.
	tainted=$(cat /proc/sys/kernel/tainted)
	echo "<5>kstitch: step $1" >/dev/kmsg
	emit "step $1 up=$up boot=$boot tainted=$tainted"
}

# finish: the end of every run that the kernel survives. QEMU ends where a machine would restart. No sync: a file system
# that is stuck must not keep the machine.
finish() {
	step finish
	emit done
	reboot -f -n
	while :; do sleep 60; done
}

step init
for module in /kstitch/modules/*.ko; do
	[ -e "$module" ] || continue
	if ! insmod "$module" 2>/tmp/insmod; then
		text boot </tmp/insmod
		emit "unusable a module of the kernel could not be loaded"
		finish
	fi
done

# The disks appear when the driver has found them, which insmod does not wait for.
for disk in $DISKS; do
	tries=0
	until [ -b "$disk" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 200 ]; then
			emit "unusable the disk '$disk' did not appear"
			finish
		fi
		usleep 50000
	done
done

. /kstitch/main
