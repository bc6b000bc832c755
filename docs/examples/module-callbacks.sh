# The module comes when the livepatch is there already, and goes again: its file is where kstitch put it for `--module overlay`.
parameter=/sys/module/overlay/parameters/redirect_always_follow
if [ -e $parameter ]; then rmmod overlay; fi
insmod /kstitch/modules/*-overlay.ko
value=$(cat $parameter)
rmmod overlay
[ "$value" = N ] || exit 1
