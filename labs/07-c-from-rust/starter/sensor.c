// SPDX-License-Identifier: GPL-2.0-only
/* The sensor's driver, which computes readings from the seed. This file is the vendor's: do not change it. */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/slab.h>

#include "sensor.h"

/* A sensor with a seed from here on is broken: reading it fails with the errno in the last byte. */
#define BROKEN 0xffffff00

struct sensor {
	u32 seed;
};

struct sensor *sensor_open(u32 seed)
{
	struct sensor *sensor;

	if (!seed)
		return ERR_PTR(-ENODEV);
	sensor = kmalloc(sizeof(*sensor), GFP_KERNEL);
	if (!sensor)
		return ERR_PTR(-ENOMEM);
	sensor->seed = seed;
	pr_info("sensor %u opened\n", seed);
	return sensor;
}

void sensor_close(struct sensor *sensor)
{
	pr_info("sensor %u closed\n", sensor->seed);
	kfree(sensor);
}

int sensor_read(struct sensor *sensor, u32 channel, struct sensor_reading *reading)
{
	u64 raw = sensor->seed * 0x9e3779b97f4a7c15 + channel * 0xd1342543de82ef95;

	if (channel >= SENSOR_CHANNELS)
		return -ECHRNG;
	if (sensor->seed >= BROKEN)
		return -(int)(sensor->seed & 0xff);
	raw ^= raw >> 29;
	reading->channel = channel;
	reading->raw = raw;
	reading->flags = (raw >> 37) & 0x1f;
	return 0;
}
