// SPDX-License-Identifier: GPL-2.0-only

#include <linux/dma-mapping.h>
#include <linux/irqflags.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>

#include "c_bindings.h"

static char *kind = "";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "the rule to break; none where empty");

static DEFINE_SPINLOCK(ring_lock);

const char *crashers_kind(void)
{
	return kind;
}

void crashers_irq_disable(void)
{
	local_irq_disable();
}

void crashers_irq_enable(void)
{
	local_irq_enable();
}

void crashers_lock_irq(void)
{
	spin_lock_irq(&ring_lock);
}

void crashers_unlock_irq(void)
{
	spin_unlock_irq(&ring_lock);
}

bool crashers_dma_failed(void *device, u64 handle)
{
	return dma_mapping_error(device, handle);
}

static int poll_nothing(struct napi_struct *napi, int budget)
{
	napi_complete(napi);
	return 0;
}

struct napi_struct *crashers_napi_new(void)
{
	struct net_device *dev = alloc_netdev_dummy(sizeof(struct napi_struct));
	struct napi_struct *napi;

	if (!dev)
		return NULL;
	napi = netdev_priv(dev);
	netif_napi_add(dev, napi, poll_nothing);
	return napi;
}

unsigned int crashers_shift(unsigned int bits)
{
	/* marker: ubsan */
	return 1u << bits;
}
