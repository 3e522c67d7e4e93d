# SPDX-License-Identifier: MIT
# Puts the two cards of the driver under measurement to work, once, before the machine's state is kept: both on one cable,
# the second in a network namespace of its own with a sink for TCP and UDP. Run by the guest's sh after prelude.sh, with
# the driver loaded.
set -- $(cd /sys/class/net && for name in *; do [ ! -e $name/device ] || echo $name; done)
[ $# = 2 ] || { echo "of the machine's two cards the driver has made $# interfaces: $*" >&2; exit 3; }
near=$1 far=$2
unshare -n sleep 1000000 &
echo $! > /tmp/far
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do usleep 1000; done
cat /sys/class/net/$far/address > /tmp/mac
ip link set $far netns $!
# IPv6 would send frames of its own, at moments of its own.
no_ipv6='for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $file; done'
sh -c "$no_ipv6"
far sh -c "$no_ipv6"
ip link set lo up
ip addr add 10.9.0.1/24 dev $near
far ip addr add 10.9.0.2/24 dev $far
ip link set $near up
far ip link set $far up
# A card may lose the frames of its first moments.
tries=0
until ping -c1 -W1 10.9.0.2 > /dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 10 ] || { echo "no answer to ten pings from $near to $far" >&2; exit 3; }
done
modprobe pktgen
for protocol in tcp udp; do
    far r4l-traffic sink $protocol 5001 > /tmp/$protocol &
    until grep -q ready /tmp/$protocol; do usleep 1000; done
done
echo "NEAR=$near FAR=$far"
