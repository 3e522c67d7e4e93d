// SPDX-License-Identifier: GPL-2.0-only
/* Takes what the driver under test would like to have: a major number, or the name of a class. */

#include <linux/device/class.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>

static unsigned int major;
module_param(major, uint, 0);

static char *name;
module_param(name, charp, 0);

static struct class *taken_class;

static int __init taken_init(void)
{
	if (name) {
		taken_class = class_create(name);
		return PTR_ERR_OR_ZERO(taken_class);
	}
	return register_chrdev_region(MKDEV(major, 0), 1, "taken");
}

static void __exit taken_exit(void)
{
	if (name)
		class_destroy(taken_class);
	else
		unregister_chrdev_region(MKDEV(major, 0), 1);
}

module_init(taken_init);
module_exit(taken_exit);
MODULE_DESCRIPTION("Takes a major number, or the name of a class");
MODULE_LICENSE("GPL");
