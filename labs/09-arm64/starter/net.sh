# SPDX-License-Identifier: MIT
# Bring up the e1000 card, whatever it is called here, and reach the gateway through it.

set -e
# YOURS (network): there are two cards, and on my PC the e1000 was this one.
card=eth0

ip addr add 10.0.2.20/24 dev "$card"
ip link set "$card" up
# The link takes the card half a second.
for _ in $(seq 100); do
	[ "$(cat "/sys/class/net/$card/carrier")" = 1 ] && break
	usleep 50000
done
ping -c 1 -W 5 10.0.2.2
