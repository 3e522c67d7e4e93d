// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inline functions and macros of the kernel that Rust cannot call, one function
 * each, no logic. The file is read by bindgen too.
 */

#include "bindings.h"

void kit_helper_netif_trans_update(struct net_device *dev)
{
	netif_trans_update(dev);
}

bool kit_helper_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

bool kit_helper_netif_device_present(const struct net_device *dev)
{
	return netif_device_present(dev);
}

bool kit_helper_netif_carrier_ok(const struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

void kit_helper_netif_addr_lock_bh(struct net_device *dev)
{
	netif_addr_lock_bh(dev);
}

void kit_helper_netif_addr_unlock_bh(struct net_device *dev)
{
	netif_addr_unlock_bh(dev);
}

void kit_helper_netif_tx_lock_bh(struct netdev_queue *txq)
{
	__netif_tx_lock_bh(txq);
}

void kit_helper_netif_tx_unlock_bh(struct netdev_queue *txq)
{
	__netif_tx_unlock_bh(txq);
}

void kit_helper_netif_tx_start_queue(struct netdev_queue *txq)
{
	netif_tx_start_queue(txq);
}

void kit_helper_netif_tx_stop_queue(struct netdev_queue *txq)
{
	netif_tx_stop_queue(txq);
}

bool kit_helper_netif_tx_queue_stopped(const struct netdev_queue *txq)
{
	return netif_tx_queue_stopped(txq);
}

bool kit_helper___netdev_tx_sent_queue(struct netdev_queue *txq, unsigned int bytes,
				       bool xmit_more)
{
	return __netdev_tx_sent_queue(txq, bytes, xmit_more);
}

void kit_helper_netdev_tx_completed_queue(struct netdev_queue *txq, unsigned int pkts,
					  unsigned int bytes)
{
	netdev_tx_completed_queue(txq, pkts, bytes);
}

void kit_helper_netdev_tx_reset_queue(struct netdev_queue *txq)
{
	netdev_tx_reset_queue(txq);
}

bool kit_helper_netdev_xmit_more(void)
{
	return netdev_xmit_more();
}

void kit_helper_dev_dstats_rx_add(struct net_device *dev, unsigned int len)
{
	dev_dstats_rx_add(dev, len);
}

void kit_helper_dev_dstats_rx_dropped(struct net_device *dev)
{
	dev_dstats_rx_dropped(dev);
}

/* dev_dstats_tx_add() for many packets. */
void kit_helper_dev_dstats_tx_add_many(struct net_device *dev, unsigned int packets,
				       unsigned int bytes)
{
	struct pcpu_dstats *dstats = this_cpu_ptr(dev->dstats);

	u64_stats_update_begin(&dstats->syncp);
	u64_stats_add(&dstats->tx_packets, packets);
	u64_stats_add(&dstats->tx_bytes, bytes);
	u64_stats_update_end(&dstats->syncp);
}

void kit_helper_dev_dstats_tx_dropped(struct net_device *dev)
{
	dev_dstats_tx_dropped(dev);
}

void kit_helper_eth_hw_addr_set(struct net_device *dev, const u8 *addr)
{
	eth_hw_addr_set(dev, addr);
}

bool kit_helper_is_valid_ether_addr(const u8 *addr)
{
	return is_valid_ether_addr(addr);
}

void kit_helper_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
			       int (*poll)(struct napi_struct *, int))
{
	netif_napi_add(dev, napi, poll);
}

void kit_helper_netif_napi_del(struct napi_struct *napi)
{
	netif_napi_del(napi);
}

bool kit_helper_napi_schedule(struct napi_struct *napi)
{
	return napi_schedule(napi);
}

void kit_helper_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	napi_gro_receive(napi, skb);
}

/* dev_get_dstats64() of net/core/dev.c, which is not exported. */
void kit_helper_dev_get_dstats64(const struct net_device *dev, struct rtnl_link_stats64 *sums)
{
	int cpu;

	netdev_stats_to_stats64(sums, &dev->stats);
	for_each_possible_cpu(cpu) {
		const struct pcpu_dstats *own = per_cpu_ptr(dev->dstats, cpu);
		u64 values[6];
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&own->syncp);
			values[0] = u64_stats_read(&own->rx_packets);
			values[1] = u64_stats_read(&own->rx_bytes);
			values[2] = u64_stats_read(&own->rx_drops);
			values[3] = u64_stats_read(&own->tx_packets);
			values[4] = u64_stats_read(&own->tx_bytes);
			values[5] = u64_stats_read(&own->tx_drops);
		} while (u64_stats_fetch_retry(&own->syncp, start));
		sums->rx_packets += values[0];
		sums->rx_bytes += values[1];
		sums->rx_dropped += values[2];
		sums->tx_packets += values[3];
		sums->tx_bytes += values[4];
		sums->tx_dropped += values[5];
	}
}

void kit_helper_netdev_use_dstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_DSTATS;
}

void kit_helper_dev_stats_inc_rx_errors(struct net_device *dev)
{
	DEV_STATS_INC(dev, rx_errors);
}

void kit_helper_dev_stats_inc_rx_crc_errors(struct net_device *dev)
{
	DEV_STATS_INC(dev, rx_crc_errors);
}

void kit_helper_dev_stats_inc_rx_length_errors(struct net_device *dev)
{
	DEV_STATS_INC(dev, rx_length_errors);
}

void kit_helper_dev_stats_inc_rx_frame_errors(struct net_device *dev)
{
	DEV_STATS_INC(dev, rx_frame_errors);
}

void kit_helper_dev_stats_add_rx_missed_errors(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, rx_missed_errors, n);
}

void *kit_helper_netdev_alloc_frag(unsigned int size)
{
	return netdev_alloc_frag(size);
}

void kit_helper_skb_free_frag(void *addr)
{
	skb_free_frag(addr);
}

void kit_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

void *kit_helper_page_pool_alloc_va(struct page_pool *pool, unsigned int *size, gfp_t flags)
{
	return page_pool_alloc_va(pool, size, flags);
}

void kit_helper_page_pool_free_va(struct page_pool *pool, void *va, bool allow_direct)
{
	page_pool_free_va(pool, va, allow_direct);
}

/* page_pool_get_dma_addr() of memory of page_pool_alloc_va(). */
dma_addr_t kit_helper_page_pool_get_dma_addr(void *va)
{
	struct page *page = virt_to_head_page(va);

	return page_pool_get_dma_addr(page) + (va - page_address(page));
}

void kit_helper_skb_set_protocol(struct sk_buff *skb, __be16 protocol)
{
	skb->protocol = protocol;
}

void kit_helper_skb_reserve(struct sk_buff *skb, int len)
{
	skb_reserve(skb, len);
}

void *kit_helper_skb_put(struct sk_buff *skb, unsigned int len)
{
	return skb_put(skb, len);
}

void *kit_helper_skb_put_data(struct sk_buff *skb, const void *data, unsigned int len)
{
	return skb_put_data(skb, data, len);
}

struct sk_buff *kit_helper_napi_alloc_skb(struct napi_struct *napi, unsigned int len)
{
	return napi_alloc_skb(napi, len);
}

void kit_helper_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

bool kit_helper_skb_shared(const struct sk_buff *skb)
{
	return skb_shared(skb);
}

void kit_helper_eth_random_addr(u8 *addr)
{
	eth_random_addr(addr);
}

void kit_helper_netdev_refuse_shared_skbs(struct net_device *dev)
{
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
}

struct sk_buff *kit_helper_skb_share_check(struct sk_buff *skb, gfp_t flags)
{
	return skb_share_check(skb, flags);
}

struct sk_buff *kit_helper_skb_unshare(struct sk_buff *skb, gfp_t flags)
{
	return skb_unshare(skb, flags);
}

int kit_helper_skb_orphan_frags_rx(struct sk_buff *skb, gfp_t flags)
{
	return skb_orphan_frags_rx(skb, flags);
}

int kit_helper_skb_put_padto(struct sk_buff *skb, unsigned int len)
{
	return skb_put_padto(skb, len);
}

unsigned int kit_helper_skb_frag_size(const struct sk_buff *skb, unsigned int i)
{
	return skb_frag_size(&skb_shinfo(skb)->frags[i]);
}

dma_addr_t kit_helper_skb_frag_dma_map(struct device *dev, const struct sk_buff *skb,
				       unsigned int i, enum dma_data_direction dir)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

	return skb_frag_dma_map(dev, frag, 0, skb_frag_size(frag), dir);
}

void kit_helper_dma_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			       enum dma_data_direction dir)
{
	dma_unmap_page(dev, addr, size, dir);
}

/*
 * skb_checksum_help() of a buffer whose device may be gone: skb_dump() prints the device's name for
 * a frame that is not as it should be.
 */
int kit_helper_skb_fill_in_checksum(struct sk_buff *skb)
{
	skb->dev = NULL;
	return skb_checksum_help(skb);
}

unsigned int kit_helper_skb_ip_summed(const struct sk_buff *skb)
{
	return skb->ip_summed;
}

int kit_helper_skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}

unsigned int kit_helper_skb_csum_offset(const struct sk_buff *skb)
{
	return skb->csum_offset;
}

int kit_helper_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

unsigned int kit_helper_skb_tcp_all_headers(const struct sk_buff *skb)
{
	return skb_tcp_all_headers(skb);
}

int kit_helper_skb_network_offset(const struct sk_buff *skb)
{
	return skb_network_offset(skb);
}

int kit_helper_skb_transport_offset(const struct sk_buff *skb)
{
	return skb_transport_offset(skb);
}

/* The counterpart of tcp_v6_gso_csum_prep(), which the kernel has no name for. */
void kit_helper_tcp_v4_gso_csum_prep(struct sk_buff *skb)
{
	struct iphdr *ip = ip_hdr(skb);

	ip->tot_len = 0;
	ip->check = 0;
	tcp_hdr(skb)->check = ~csum_tcpudp_magic(ip->saddr, ip->daddr, 0, IPPROTO_TCP, 0);
}

void kit_helper_tcp_v6_gso_csum_prep(struct sk_buff *skb)
{
	tcp_v6_gso_csum_prep(skb);
}

/*
 * The buffer does not hold its device, which may be gone if the driver kept the buffer for another
 * one, and skb_tx_timestamp() reads from it.
 */
void kit_helper_skb_tx_timestamp(struct sk_buff *skb, struct net_device *dev)
{
	skb->dev = dev;
	skb_tx_timestamp(skb);
}

/* dev_forward_skb(), which asks the buffer's device for its namespace; the buffer may have none. */
int kit_helper_dev_forward_own_skb(struct net_device *dev, struct sk_buff *skb)
{
	skb->dev = dev;
	return dev_forward_skb(dev, skb);
}

void kit_helper_dev_kfree_skb_any(struct sk_buff *skb)
{
	dev_kfree_skb_any(skb);
}

void kit_helper_dev_consume_skb_any(struct sk_buff *skb)
{
	dev_consume_skb_any(skb);
}

dma_addr_t kit_helper_dma_map_single(struct device *dev, void *ptr, size_t size,
				     enum dma_data_direction dir)
{
	return dma_map_single(dev, ptr, size, dir);
}

void kit_helper_dma_unmap_single(struct device *dev, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir)
{
	dma_unmap_single(dev, addr, size, dir);
}

void kit_helper_dma_sync_single_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
					enum dma_data_direction dir)
{
	dma_sync_single_for_cpu(dev, addr, size, dir);
}

void kit_helper_dma_sync_single_for_device(struct device *dev, dma_addr_t addr, size_t size,
					   enum dma_data_direction dir)
{
	dma_sync_single_for_device(dev, addr, size, dir);
}

int kit_helper_dma_mapping_error(struct device *dev, dma_addr_t addr)
{
	return dma_mapping_error(dev, addr);
}

void kit_helper_dma_rmb(void)
{
	dma_rmb();
}

void kit_helper_dma_wmb(void)
{
	dma_wmb();
}

void kit_helper_smp_mb(void)
{
	smp_mb();
}

int kit_helper_request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags,
			   const char *name, void *dev)
{
	return request_irq(irq, handler, flags, name, dev);
}

void kit_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

bool kit_helper_schedule_work(struct work_struct *work)
{
	return schedule_work(work);
}

void kit_helper_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

bool kit_helper_schedule_delayed_work(struct delayed_work *work, unsigned int msecs)
{
	return schedule_delayed_work(work, msecs_to_jiffies(msecs));
}

struct netdev_hw_addr *kit_helper_netdev_mc_next(const struct net_device *dev,
						 const struct netdev_hw_addr *at)
{
	const struct list_head *next = at ? at->list.next : dev->mc.list.next;

	return next == &dev->mc.list ? NULL : list_entry(next, struct netdev_hw_addr, list);
}

struct netdev_hw_addr *kit_helper_netdev_uc_next(const struct net_device *dev,
						 const struct netdev_hw_addr *at)
{
	const struct list_head *next = at ? at->list.next : dev->uc.list.next;

	return next == &dev->uc.list ? NULL : list_entry(next, struct netdev_hw_addr, list);
}

netdev_features_t kit_helper_vlan_features_check(struct sk_buff *skb, netdev_features_t features)
{
	return vlan_features_check(skb, features);
}

bool kit_helper_skb_vlan_tag_present(const struct sk_buff *skb)
{
	return skb_vlan_tag_present(skb);
}

unsigned int kit_helper_skb_vlan_tag_get(const struct sk_buff *skb)
{
	return skb_vlan_tag_get(skb);
}

void kit_helper___vlan_hwaccel_put_tag(struct sk_buff *skb, u16 tci)
{
	__vlan_hwaccel_put_tag(skb, htons(ETH_P_8021Q), tci);
}

void kit_helper_skb_checksum_unnecessary(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

void kit_helper_netdev_filters_unicast(struct net_device *dev)
{
	dev->priv_flags |= IFF_UNICAST_FLT;
}

/* skb_add_rx_frag() for memory of netdev_alloc_frag() and page_pool_alloc_va(). */
void kit_helper_skb_add_rx_memory(struct sk_buff *skb, void *data, int len, unsigned int truesize)
{
	struct page *page = virt_to_head_page(data);

	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, data - page_address(page), len,
			truesize);
}

bool kit_helper_skb_mac_header_was_set(const struct sk_buff *skb)
{
	return skb_mac_header_was_set(skb);
}

int kit_helper_skb_mac_offset(const struct sk_buff *skb)
{
	return skb_mac_offset(skb);
}

unsigned int kit_helper_skb_pkt_type(const struct sk_buff *skb)
{
	return skb->pkt_type;
}

void kit_helper_consume_skb(struct sk_buff *skb)
{
	consume_skb(skb);
}

void kit_helper_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void kit_helper_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

int kit_helper_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

unsigned long kit_helper_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void kit_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

bool kit_helper_spin_trylock_irqsave(spinlock_t *lock, unsigned long *flags)
{
	return spin_trylock_irqsave(lock, *flags);
}

/* Two of a driver's bugs, which it may repeat for each frame. */
void kit_helper_netdev_warn_frame_lost(struct net_device *dev)
{
	netdev_WARN_ONCE(dev,
			 "a frame was dropped that was counted as sent, and is not completed\n");
}

void kit_helper_netdev_warn_not_finished(struct net_device *dev)
{
	netdev_WARN_ONCE(dev, "frames were completed, and the transmit queue was not looked at\n");
}

void kit_helper_reinit_completion(struct completion *x)
{
	reinit_completion(x);
}

bool kit_helper_device_can_wakeup(struct device *dev)
{
	return device_can_wakeup(dev);
}

bool kit_helper_device_may_wakeup(struct device *dev)
{
	return device_may_wakeup(dev);
}

/* A function with CONFIG_PM_SLEEP, else an inline one. */
int kit_helper_device_set_wakeup_enable(struct device *dev, bool enable)
{
	return device_set_wakeup_enable(dev, enable);
}

unsigned long kit_helper_pci_resource_flags(struct pci_dev *pdev, int bar)
{
	return pci_resource_flags(pdev, bar);
}

void kit_helper_iowrite32(u32 value, void __iomem *addr)
{
	iowrite32(value, addr);
}
