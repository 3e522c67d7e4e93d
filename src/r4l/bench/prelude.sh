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
    conf kpktgend_0 rem_device_all
}
heard() { # prints the IP packets that the far card's driver has given to the kernel, by the kernel's own count
    far awk '$1 == "Ip:" { count = $4 } END { print count }' /proc/net/snmp
}
arrives() { # COMMAND: run it, and end with $LOSES if more than one in a hundred of its COUNT frames do not arrive at the far card
    before=$(heard)
    "$@" > /tmp/taken
    tries=0
    until arrived=$(($(heard) - before)); [ $arrived -ge $COUNT ]; do
        # The last ones may be on their way.
        tries=$((tries + 1))
        [ $tries -lt 20 ] || break
        usleep 50000
    done
    if [ $((100 * arrived)) -lt $((99 * COUNT)) ]; then
        echo "of $COUNT frames $arrived have arrived at the far card" >&2
        exit $LOSES
    fi
    cat /tmp/taken
}
