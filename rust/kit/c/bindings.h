/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel headers behind the kit: what bindgen reads and gcc measures. */

/* See rust/bindings/bindings_helper.h: avoids forward references to an enum. */
#include <linux/hrtimer_types.h>

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/eventpoll.h>
#include <linux/fs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_vlan.h>
#include <linux/interrupt.h>
#include <linux/mii.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/workqueue.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/net_namespace.h>
#include <net/page_pool/helpers.h>
#include <net/tcp.h>
