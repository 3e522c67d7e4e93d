# SPDX-License-Identifier: MIT
# Bring up the e1000 card under any interface name, and reach the gateway through it.

set -e
card=
for net in /sys/class/net/*; do
	# lo has no device.
	[ -e "$net/device" ] || continue
	case $(cat "$net/device/vendor" "$net/device/device" | xargs) in
	"0x8086 0x100e") card=${net##*/} ;;
	esac
done
[ "$card" ] || {
	echo "there is no interface of an 8086:100e" >&2
	exit 1
}

ip addr add 10.0.2.20/24 dev "$card"
ip link set "$card" up
# The card needs half a second for the link.
for _ in $(seq 100); do
	[ "$(cat "/sys/class/net/$card/carrier")" = 1 ] && break
	usleep 50000
done
ping -c 1 -W 5 10.0.2.2
