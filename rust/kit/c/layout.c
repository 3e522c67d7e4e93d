// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiled to assembler, never run: the sizes, offsets and constants as the C
 * compiler of this kernel sees them. crate.mk turns each "->" line into Rust.
 * It makes kit_ethtool.h, too: ethtool_ops and the structures that its
 * operations fill.
 */

#include "bindings.h"

#define SIZE(type) \
	asm volatile("\n.ascii \"->size " #type " %c0\"" : : "i"(sizeof(struct type)))
#define FIELD(type, field, rust) \
	asm volatile("\n.ascii \"->offset " #type " " #rust " %c0\"" : : \
		     "i"(offsetof(struct type, field)))
#define OFFSET(type, field) FIELD(type, field, field)
#define CONST(name, value) \
	asm volatile("\n.ascii \"->const " #name " %c0\"" : : "i"(value))

void kit_layout(void);
void kit_layout(void)
{
	SIZE(net_device);
	SIZE(net_device_ops);
	SIZE(napi_struct);
	SIZE(netdev_queue);
	SIZE(netdev_hw_addr);
	SIZE(rtnl_link_stats64);
	SIZE(ifreq);
	SIZE(mii_ioctl_data);
	SIZE(sk_buff);
	SIZE(skb_shared_info);
	SIZE(work_struct);
	SIZE(delayed_work);
	SIZE(packet_type);
	SIZE(page_pool_params);
	SIZE(cdev);
	SIZE(kiocb);
	SIZE(file);
	SIZE(file_operations);

	OFFSET(net_device, name);
	OFFSET(net_device, netdev_ops);
	OFFSET(net_device, _tx);
	OFFSET(net_device, ethtool_ops);
	OFFSET(net_device, dev);
	OFFSET(net_device, dev_addr);
	OFFSET(net_device, mtu);
	OFFSET(net_device, min_mtu);
	OFFSET(net_device, max_mtu);
	OFFSET(net_device, flags);
	OFFSET(net_device, features);
	OFFSET(net_device, hw_features);
	OFFSET(net_device, vlan_features);
	OFFSET(net_device, irq);
	OFFSET(net_device, carrier_up_count);
	OFFSET(net_device, watchdog_timeo);
	OFFSET(net_device, ifindex);

	OFFSET(net_device_ops, ndo_open);
	OFFSET(net_device_ops, ndo_stop);
	OFFSET(net_device_ops, ndo_start_xmit);
	OFFSET(net_device_ops, ndo_set_rx_mode);
	OFFSET(net_device_ops, ndo_set_mac_address);
	OFFSET(net_device_ops, ndo_validate_addr);
	OFFSET(net_device_ops, ndo_change_mtu);
	OFFSET(net_device_ops, ndo_tx_timeout);
	OFFSET(net_device_ops, ndo_get_stats64);
	OFFSET(net_device_ops, ndo_eth_ioctl);
	OFFSET(net_device_ops, ndo_features_check);
	OFFSET(net_device_ops, ndo_fix_features);
	OFFSET(net_device_ops, ndo_set_features);
	OFFSET(net_device_ops, ndo_vlan_rx_add_vid);
	OFFSET(net_device_ops, ndo_vlan_rx_kill_vid);

#include "kit_ethtool.h"

	OFFSET(delayed_work, work);
	OFFSET(netdev_hw_addr, addr);
	OFFSET(packet_type, func);
	OFFSET(packet_type, af_packet_net);
	OFFSET(packet_type, af_packet_priv);
	OFFSET(rtnl_link_stats64, rx_packets);
	OFFSET(rtnl_link_stats64, rx_missed_errors);
	OFFSET(rtnl_link_stats64, tx_window_errors);
	OFFSET(ifreq, ifr_ifru);
	OFFSET(mii_ioctl_data, val_out);
	OFFSET(sk_buff, len);
	OFFSET(sk_buff, data_len);
	OFFSET(sk_buff, head);
	OFFSET(sk_buff, end);
	OFFSET(skb_shared_info, nr_frags);
	OFFSET(skb_shared_info, gso_size);
	OFFSET(skb_shared_info, gso_segs);
	OFFSET(skb_shared_info, gso_type);
	OFFSET(skb_shared_info, frag_list);
	OFFSET(sk_buff, data);

	OFFSET(cdev, kobj);
	OFFSET(cdev, owner);
	OFFSET(cdev, ops);
	OFFSET(kiocb, ki_filp);
	OFFSET(kiocb, ki_pos);
	OFFSET(kiocb, ki_flags);
	OFFSET(file, f_mode);
	OFFSET(file, f_op);
	OFFSET(file, private_data);
	OFFSET(file, f_flags);
	OFFSET(file, f_pos);
	OFFSET(file_operations, owner);
	OFFSET(file_operations, llseek);
	OFFSET(file_operations, read_iter);
	OFFSET(file_operations, write_iter);
	OFFSET(file_operations, poll);
	OFFSET(file_operations, unlocked_ioctl);
	OFFSET(file_operations, compat_ioctl);
	OFFSET(file_operations, open);
	OFFSET(file_operations, release);
	OFFSET(file_operations, splice_write);
	OFFSET(file_operations, splice_read);

	CONST(NET_SKB_PAD, NET_SKB_PAD);
	CONST(NET_IP_ALIGN, NET_IP_ALIGN);
	CONST(SMP_CACHE_BYTES, SMP_CACHE_BYTES);
	CONST(SKB_SHINFO_SPACE, SKB_DATA_ALIGN(sizeof(struct skb_shared_info)));
	CONST(NETDEV_PRIV, offsetof(struct net_device, priv));
	CONST(NETDEV_PRIV_ALIGN, __alignof__(((struct net_device *)0)->priv));
	CONST(CHECKSUM_PARTIAL, CHECKSUM_PARTIAL);
	CONST(CHECKSUM_UNNECESSARY, CHECKSUM_UNNECESSARY);
	CONST(PACKET_OUTGOING, PACKET_OUTGOING);
	CONST(MAX_SKB_FRAGS, MAX_SKB_FRAGS);
	CONST(PP_FLAG_DMA_MAP, PP_FLAG_DMA_MAP);
	CONST(PP_FLAG_DMA_SYNC_DEV, PP_FLAG_DMA_SYNC_DEV);
	CONST(SKB_GSO_TCPV4, SKB_GSO_TCPV4);
	CONST(SKB_GSO_TCPV6, SKB_GSO_TCPV6);
	CONST(NETIF_F_SG, NETIF_F_SG);
	CONST(NETIF_F_HW_CSUM, NETIF_F_HW_CSUM);
	CONST(NETIF_F_TSO, NETIF_F_TSO);
	CONST(NETIF_F_TSO6, NETIF_F_TSO6);
	CONST(NETIF_F_RXCSUM_BIT, NETIF_F_RXCSUM_BIT);
	CONST(NETIF_F_HW_VLAN_CTAG_TX_BIT, NETIF_F_HW_VLAN_CTAG_TX_BIT);
	CONST(NETIF_F_HW_VLAN_CTAG_RX_BIT, NETIF_F_HW_VLAN_CTAG_RX_BIT);
	CONST(NETIF_F_HW_VLAN_CTAG_FILTER_BIT, NETIF_F_HW_VLAN_CTAG_FILTER_BIT);
	CONST(NETIF_F_RXFCS_BIT, NETIF_F_RXFCS_BIT);
	CONST(NETIF_F_RXALL_BIT, NETIF_F_RXALL_BIT);
	CONST(ETHTOOL_COALESCE_RX_USECS, ETHTOOL_COALESCE_RX_USECS);
	CONST(ETHTOOL_COALESCE_USE_ADAPTIVE_RX, ETHTOOL_COALESCE_USE_ADAPTIVE_RX);
	CONST(ADVERTISED_10BASET_HALF, ADVERTISED_10baseT_Half);
	CONST(ADVERTISED_10BASET_FULL, ADVERTISED_10baseT_Full);
	CONST(ADVERTISED_100BASET_HALF, ADVERTISED_100baseT_Half);
	CONST(ADVERTISED_100BASET_FULL, ADVERTISED_100baseT_Full);
	CONST(ADVERTISED_1000BASET_FULL, ADVERTISED_1000baseT_Full);
	CONST(ADVERTISED_AUTONEG, ADVERTISED_Autoneg);
	CONST(ADVERTISED_TP, ADVERTISED_TP);
	CONST(ADVERTISED_PAUSE, ADVERTISED_Pause);
	CONST(ADVERTISED_ASYM_PAUSE, ADVERTISED_Asym_Pause);
	CONST(FMODE_READ, FMODE_READ);
	CONST(FMODE_WRITE, FMODE_WRITE);
	CONST(IOCB_APPEND, IOCB_APPEND);
	CONST(IOCB_NOWAIT, IOCB_NOWAIT);
	CONST(EPOLLIN, EPOLLIN);
	CONST(EPOLLOUT, EPOLLOUT);
	CONST(EPOLLERR, EPOLLERR);
	CONST(EPOLLHUP, EPOLLHUP);
	CONST(EPOLLRDNORM, EPOLLRDNORM);
	CONST(EPOLLWRNORM, EPOLLWRNORM);
}
