/* SPDX-License-Identifier: GPL-2.0-only */
/* The interface of a sensor's driver. This file is the vendor's: do not change it. */

#ifndef SENSOR_H
#define SENSOR_H

#include <linux/bitops.h>
#include <linux/types.h>

/* Channels are numbered from 0. */
#define SENSOR_CHANNELS 12

/* In flags: the channel is ready. The other bits have other meanings. */
#define SENSOR_READY BIT(3)

/* An open sensor. Its content is private to the driver. */
struct sensor;

struct sensor_reading {
	u8 channel;
	u64 raw;
	u16 flags;
};

/*
 * Opens the sensor with this seed; each seed has other readings. Close the sensor once. With seed 0
 * there is no sensor: ERR_PTR(-ENODEV).
 */
struct sensor *sensor_open(u32 seed);

void sensor_close(struct sensor *sensor);

/* Reads a channel. Returns 0 or a negative errno; the reading is then not valid. */
int sensor_read(struct sensor *sensor, u32 channel, struct sensor_reading *reading);

/* The temperature. */
static inline s32 sensor_millidegrees(const struct sensor_reading *reading)
{
	return sign_extend32((u32)reading->raw, 15) * 125;
}

#endif
