/** Units that are carried unchanged into a livepatch and run, and what makes them run. */

export interface IdentityCase {
  /** Below the kernel source. */
  readonly unit: string;
  /** Functions that every sleeping task is in: no livepatch with one of them comes into force. */
  readonly leaveOut?: readonly string[];
  /** Modules of the kernel that are loaded first. */
  readonly modules?: readonly string[];
  /** Functions that are carried at least, so that a unit that lost most of its functions does not pass. */
  readonly carried: number;
  /** Different functions of the livepatch that run at least. */
  readonly run: number;
  /** Commands of busybox sh that fail when something is wrong; run several times in one boot. */
  readonly script: string;
}

const loopback = `
  ip link set lo up || return 1
  # The server's input must not end before the client's, or the client goes.
  [ -p /tmp/silence ] || mkfifo /tmp/silence
  dd if=/dev/urandom of=/tmp/sent bs=64k count=8 2>&-
  for i in 1 2; do
    nc -l -p 900$i <>/tmp/silence >/tmp/received & server=$!
    until nc 127.0.0.1 900$i </tmp/sent; do usleep 100000; done
    wait $server
    cmp /tmp/sent /tmp/received || return 1
  done
  # Nobody listens: a reset. And somebody who leaves with data unread.
  nc 127.0.0.1 9 </tmp/sent && return 1
  nc -l -p 9009 <>/tmp/silence | head -c 1 >/dev/null & server=$!
  usleep 300000
  nc 127.0.0.1 9009 </tmp/sent
  wait $server
  rm /tmp/sent /tmp/received
`;

/**
 * Files of all sizes come, grow, shrink and go on a file system of $disk. Its caches must not be dropped while it is mounted: the
 * kernel that tests use has Debian's bug 1154101.
 */
const files = `
  mkdir -p /tmp/mount && mke2fs -F $disk >/dev/null 2>&1 && mount -t ext4 $disk /tmp/mount || return 1
  for i in 1 2 3 4 5 6; do dd if=/dev/urandom of=/tmp/mount/$i bs=40k count=$i 2>&- || return 1; done
  sync
  rm -r /tmp/mount/lost+found
  rm /tmp/mount/1 /tmp/mount/3 && truncate -s 10k /tmp/mount/5 && fallocate -l 3000000 /tmp/mount/9
  dd if=/dev/urandom of=/tmp/mount/10 bs=1M count=1 2>&- || return 1
  before=$(cat /tmp/mount/* | md5sum)
  umount /tmp/mount && mount -t ext4 $disk /tmp/mount || return 1
  [ "$before" = "$(cat /tmp/mount/* | md5sum)" ] || return 1
  umount /tmp/mount
`;

const processes = `
  for i in 1 2 3 4 5 6 7 8 9 10; do (usleep 1000; true | cat | cat) & done
  wait
  sh -c 'renice -n 7 -p $$ >/dev/null; i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done' & first=$!
  taskset 1 sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done' & second=$!
  taskset -p 2 $second >/dev/null
  wait $first && wait $second || return 1
  unshare -m -u -i true || return 1
  sh -c 'kill -9 $$'
  [ $? = 137 ]
`;

const memory = `
  dd if=/dev/zero of=/tmp/big bs=1M count=200 2>&- || return 1
  before=$(md5sum </tmp/big)
  for i in 1 2 3 4; do (dd if=/tmp/big of=/dev/null bs=8M 2>&-; true) & done
  wait
  [ "$before" = "$(md5sum </tmp/big)" ] || return 1
  rm /tmp/big
  echo 1 >/proc/sys/vm/compact_memory
  cat /proc/zoneinfo /proc/pagetypeinfo /proc/buddyinfo >/dev/null
  echo 4000 >/proc/sys/vm/min_free_kbytes
  echo 20 >/proc/sys/vm/nr_hugepages && echo 0 >/proc/sys/vm/nr_hugepages
`;

const paths = `
  mkdir -p /tmp/a/b/c && cd /tmp/a || return 1
  touch b/file && ln b/file b/c/hard && ln -s b/c soft && ln -s soft softer || return 1
  [ -e softer/hard ] && [ "$(readlink -f softer/hard)" = /tmp/a/b/c/hard ] || return 1
  mv b/file softer/moved && mv b/c/moved . && mknod pipe p && mknod null c 1 3 || return 1
  ln -s loop loop && cat loop 2>&- && return 1
  cat b/../b/./c/../../nothing 2>&- && return 1
  mkdir b 2>&- && return 1
  find / -xdev >/dev/null
  (cd b/c && rmdir ../../b 2>&-) && return 1
  cd / && rm -r /tmp/a
`;

const loopDevice = `
  dd if=/dev/zero of=/tmp/image bs=1M count=10 2>&- && losetup /dev/loop3 /tmp/image || return 1
  disk=/dev/loop3
  ${files}
  losetup /dev/loop3 >/dev/null && losetup -d /dev/loop3 && rm /tmp/image
`;

/** A pair of network devices, one of them in a network of its own. */
const pair = `
  ip link add left9 type veth && ip addr add 10.9.9.1/24 dev left9 && ip link set left9 up || return 1
  right=$(ls /sys/class/net | grep '^veth' | head -n 1)
  unshare -n sleep 1000 & other=$!
  until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do usleep 20000; done
  ip link set $right netns $other || return 1
  nsenter -t $other -n ip addr add 10.9.9.2/24 dev $right && nsenter -t $other -n ip link set $right up || return 1
  ping -c 3 -W 5 -s 1000 10.9.9.2 >/dev/null || return 1
  ip link set left9 mtu 9000 && ip link set left9 down && ip link set left9 up || return 1
  cat /sys/class/net/left9/statistics/* >/dev/null
  kill $other && wait $other
  ip link del left9
`;

const overlay = `
  mkdir -p /tmp/o && mount -t tmpfs o /tmp/o && mkdir /tmp/o/low /tmp/o/up /tmp/o/work /tmp/o/all || return 1
  echo one >/tmp/o/low/a && echo two >/tmp/o/low/b && mkdir /tmp/o/low/d && echo three >/tmp/o/low/d/c
  mount -t overlay -o lowerdir=/tmp/o/low,upperdir=/tmp/o/up,workdir=/tmp/o/work o /tmp/o/all || return 1
  cd /tmp/o/all
  rm a && mv b e && echo four >>d/c && ln e f && ln -s e g && mkdir h && rmdir h && mknod p p || return 1
  rm -r d && mkdir d && touch d/new && chmod 700 d || return 1
  cd /
  [ "$(cat /tmp/o/low/a /tmp/o/all/f)" = "one
two" ] && umount /tmp/o/all && umount /tmp/o
`;

/** Those that every change is tested with, and that take little time. */
export const quickCases: readonly IdentityCase[] = [
  { unit: 'net/ipv4/tcp_input.c', carried: 80, run: 20, script: loopback },
  {
    unit: 'drivers/block/loop.c',
    modules: ['loop'],
    carried: 40,
    run: 12,
    script: loopDevice,
  },
];

export const longCases: readonly IdentityCase[] = [
  { unit: 'fs/ext4/mballoc.c', carried: 65, run: 25, script: `disk=/dev/vda\n${files}` },
  { unit: 'mm/page_alloc.c', carried: 100, run: 20, script: memory },
  { unit: 'kernel/sched/core.c', leaveOut: ['schedule'], carried: 200, run: 30, script: processes },
  { unit: 'kernel/sched/fair.c', carried: 90, run: 20, script: processes },
  { unit: 'kernel/fork.c', carried: 60, run: 15, script: processes },
  { unit: 'fs/namei.c', carried: 120, run: 40, script: paths },
  { unit: 'net/core/skbuff.c', carried: 150, run: 20, script: loopback },
  { unit: 'drivers/block/virtio_blk.c', carried: 20, run: 3, script: `disk=/dev/vda\n${files}` },
  { unit: 'drivers/net/veth.c', modules: ['veth'], carried: 25, run: 10, script: pair },
  { unit: 'fs/overlayfs/dir.c', modules: ['overlay'], carried: 24, run: 10, script: overlay },
];
