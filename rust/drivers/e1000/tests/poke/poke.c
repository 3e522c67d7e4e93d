// SPDX-License-Identifier: GPL-2.0-only
/* Writes a register behind the driver's back: insmod poke.ko at=PHYSICAL value=WORD. */

#include <linux/io.h>
#include <linux/module.h>

static unsigned long at;
module_param(at, ulong, 0);

static unsigned int value;
module_param(value, uint, 0);

static int __init poke_init(void)
{
	void __iomem *word = ioremap(at, sizeof(value));

	if (!word)
		return -ENOMEM;
	writel(value, word);
	iounmap(word);
	return 0;
}

static void __exit poke_exit(void)
{
}

module_init(poke_init);
module_exit(poke_exit);
MODULE_DESCRIPTION("Writes a register of a device");
MODULE_LICENSE("GPL");
