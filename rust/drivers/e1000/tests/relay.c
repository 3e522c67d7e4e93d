// SPDX-License-Identifier: GPL-2.0-only
/*
 * relay INTERFACE REQUEST HEX: makes one ioctl of a network interface and prints the structure as the kernel leaves it, in
 * hexadecimal, or "error N". SIOCETHTOOL gets a pointer to the structure, any other request has it inside of the ifreq.
 *
 * relay INTERFACE listen HEX: wants frames for these addresses, six bytes each, until it is ended.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char data[65536];

static int listens(const char *name, size_t len)
{
	struct packet_mreq wanted = { .mr_type = PACKET_MR_UNICAST, .mr_alen = 6, .mr_ifindex = if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	for (size_t i = 0; i + 6 <= len; i += 6) {
		memcpy(wanted.mr_address, &data[i], 6);
		if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof(wanted))) {
			perror("PACKET_ADD_MEMBERSHIP");
			return 1;
		}
	}
	puts("listening");
	fflush(stdout);
	pause();
	return 0;
}

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
	if (!strcmp(argv[2], "listen"))
		return listens(argv[1], len);
	if (number == SIOCETHTOOL)
		request.ifr_data = (void *)data;
	else if (len <= sizeof(request.ifr_ifru))
		memcpy(&request.ifr_ifru, data, len);
	else
		return 2;
	if (ioctl(fd, number, &request) < 0) {
		printf("error %d\n", errno);
		return 0;
	}
	for (size_t i = 0; i < len; i++)
		printf("%02x", number == SIOCETHTOOL ? data[i] : ((unsigned char *)&request.ifr_ifru)[i]);
	puts("");
	return 0;
}
