# Two files in a new tmpfs are counted; the bug is that nobody counts.
mkdir -p /tmp/counted
mount -t tmpfs counted /tmp/counted
touch /tmp/counted/one /tmp/counted/two
options=$(grep '^counted ' /proc/mounts)
umount /tmp/counted
echo "$options"
case $options in
*,created=2[,\ ]*) ;;
*) exit 1 ;;
esac
