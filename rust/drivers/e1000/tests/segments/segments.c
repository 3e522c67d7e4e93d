// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends one frame that is to be cut into TCP segments and whose checksum, it says, is right already, as a bridge does with
 * what it got from a virtual machine: insmod segments.ko interface=eth0.
 */

#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/tcp.h>

#define MSS 1000
#define COUNT 4
#define DATA 3500

static char *interface = "eth0";
module_param(interface, charp, 0);

static struct sk_buff *frame(struct net_device *dev)
{
	struct sk_buff *skb = alloc_skb(LL_MAX_HEADER + 40 + DATA, GFP_KERNEL);
	struct tcphdr *tcp;
	struct iphdr *ip;

	if (!skb)
		return NULL;
	skb_reserve(skb, LL_MAX_HEADER);
	skb_reset_network_header(skb);
	ip = skb_put_zero(skb, sizeof(*ip));
	skb_set_transport_header(skb, sizeof(*ip));
	tcp = skb_put_zero(skb, sizeof(*tcp));
	memset(skb_put(skb, DATA), 'r', DATA);
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
	skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4;
	skb_shinfo(skb)->gso_size = MSS;
	skb_shinfo(skb)->gso_segs = COUNT;
	eth_header(skb, dev, ETH_P_IP, NULL, NULL, skb->len);
	skb_reset_mac_header(skb);
	eth_broadcast_addr(eth_hdr(skb)->h_dest);
	return skb;
}

static int __init segments_init(void)
{
	struct net_device *dev = dev_get_by_name(&init_net, interface);
	struct sk_buff *skb;
	int error = -ENOMEM;

	if (!dev)
		return -ENODEV;
	skb = frame(dev);
	if (skb)
		error = dev_queue_xmit(skb);
	dev_put(dev);
	return error;
}

static void __exit segments_exit(void)
{
}

module_init(segments_init);
module_exit(segments_exit);
MODULE_DESCRIPTION("Sends a frame that is to be cut into segments");
MODULE_LICENSE("GPL");
