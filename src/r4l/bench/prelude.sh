# SPDX-License-Identifier: MIT
# Begins setup.sh and every workload.
set -e
far() { nsenter -t $(cat /tmp/far) -n "$@"; }
conf() { echo "$2" > /proc/net/pktgen/$1; }
pktgen() { # INTERFACE SIZE: send COUNT frames to the far card, or to $MAC; prints the nanoseconds that it took
    conf kpktgend_0 "add_device $1"
    for setting in "count $COUNT" "pkt_size $2" "clone_skb 0" "delay 0" "dst 10.9.0.2" "dst_mac ${MAC:-$(cat /tmp/mac)}"; do
        conf $1 "$setting"
    done
    conf pgctrl start
    # Result: OK: 205465(c205120+d345) usec, 20000 (60byte,0frags)
    sed -n 's/^Result: OK: \([0-9]*\)(.*/\1000/p' /proc/net/pktgen/$1
}
