// SPDX-License-Identifier: GPL-2.0-only
/*
 * relay INTERFACE REQUEST HEX: makes one ioctl of a network interface and prints the structure as the kernel leaves it, in
 * hexadecimal, or "error N". SIOCETHTOOL gets a pointer to the structure, any other request has it inside of the ifreq.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static unsigned char data[65536];

int main(int argc, char **argv)
{
	struct ifreq request = { 0 };
	unsigned long number;
	size_t len;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 4 || fd < 0 || strlen(argv[3]) / 2 > sizeof(data))
		return 2;
	strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
	number = strtoul(argv[2], NULL, 0);
	len = strlen(argv[3]) / 2;
	for (size_t i = 0; i < len; i++)
		sscanf(argv[3] + 2 * i, "%2hhx", &data[i]);
	if (number == SIOCETHTOOL)
		request.ifr_data = (void *)data;
	else if (len <= sizeof(request.ifr_ifru))
		memcpy(&request.ifr_ifru, data, len);
	else
		return 2;
	if (ioctl(fd, number, &request)) {
		printf("error %d\n", errno);
		return 0;
	}
	for (size_t i = 0; i < len; i++)
		printf("%02x", number == SIOCETHTOOL ? data[i] : ((unsigned char *)&request.ifr_ifru)[i]);
	puts("");
	return 0;
}
