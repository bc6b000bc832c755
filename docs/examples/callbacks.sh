# The bug is there as long as the limit is not 64 KiB.
[ "$(cat /proc/sys/fs/pipe-max-size)" = 65536 ] || exit 1
