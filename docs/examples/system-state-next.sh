# The bug is there as long as the limit is not 128 KiB.
[ "$(cat /proc/sys/fs/pipe-max-size)" = 131072 ] || exit 1
