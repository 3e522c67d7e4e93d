// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends frames that are to be cut into TCP segments and whose checksum, they say, is right already, as a bridge does with
 * frames of a virtual machine: insmod segments.ko interface=eth0. When the driver gives a frame back, its data is
 * overwritten. With whole=1 a frame follows that is not cut.
 */

#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/tcp.h>

#define MSS 1200
#define COUNT 4
#define DATA 4100
#define WHOLE 1400

static char *interface = "eth0";
module_param(interface, charp, 0);
static bool whole;
module_param(whole, bool, 0);

static atomic_t waiting = ATOMIC_INIT(0);

/* Called when the driver frees the frame, before its memory is. */
static void overwrite(struct sk_buff *skb)
{
	u8 *data = skb_transport_header(skb) + sizeof(struct tcphdr);

	memset(data, '!', skb_tail_pointer(skb) - data);
	atomic_dec(&waiting);
}

static struct sk_buff *frame(struct net_device *dev, bool large)
{
	unsigned int bytes = large ? DATA : WHOLE;
	struct sk_buff *skb = alloc_skb(LL_MAX_HEADER + 40 + bytes, GFP_KERNEL);
	struct tcphdr *tcp;
	struct iphdr *ip;

	if (!skb)
		return NULL;
	skb_reserve(skb, LL_MAX_HEADER);
	skb_reset_network_header(skb);
	ip = skb_put_zero(skb, sizeof(*ip));
	skb_set_transport_header(skb, sizeof(*ip));
	tcp = skb_put_zero(skb, sizeof(*tcp));
	memset(skb_put(skb, bytes), 'r', bytes);
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = htons(skb->len);
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = htonl(0x0a00020f);
	ip->daddr = htonl(0x0a000202);
	tcp->source = htons(1234);
	tcp->dest = htons(4321);
	tcp->doff = 5;
	tcp->ack = 1;
	skb->dev = dev;
	skb->protocol = htons(ETH_P_IP);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (large) {
		skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4;
		skb_shinfo(skb)->gso_size = MSS;
		skb_shinfo(skb)->gso_segs = COUNT;
	}
	eth_header(skb, dev, ETH_P_IP, NULL, NULL, skb->len);
	skb_reset_mac_header(skb);
	eth_broadcast_addr(eth_hdr(skb)->h_dest);
	skb->destructor = overwrite;
	atomic_inc(&waiting);
	return skb;
}

static int send(struct net_device *dev, bool large)
{
	struct sk_buff *skb = frame(dev, large);

	return skb ? dev_queue_xmit(skb) : -ENOMEM;
}

static int __init segments_init(void)
{
	struct net_device *dev = dev_get_by_name(&init_net, interface);
	int error;

	if (!dev)
		return -ENODEV;
	error = send(dev, true);
	if (!error && whole)
		error = send(dev, false);
	dev_put(dev);
	return error;
}

/* Waits until this module's function is not needed any more. */
static void __exit segments_exit(void)
{
	while (atomic_read(&waiting))
		msleep(10);
}

module_init(segments_init);
module_exit(segments_exit);
MODULE_DESCRIPTION("Sends a frame that is to be cut into segments");
MODULE_LICENSE("GPL");
