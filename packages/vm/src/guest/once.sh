# SPDX-License-Identifier: Apache-2.0
# Read by init.sh: one script, whose standard output goes to a disk, because a serial port would take minutes for some MiB.
# OUTPUT: the disk.
step script
sh /kstitch/script </dev/null 9>&- >/tmp/output
status=$?
step output
bytes=$(stat -c %s /tmp/output)
if dd if=/tmp/output of="$OUTPUT" bs=1M conv=fsync 2>/tmp/dd; then
	emit "output status=$status bytes=$bytes"
else
	text output </tmp/dd
	emit "unusable the output of $bytes bytes could not be written to the disk"
fi
finish
