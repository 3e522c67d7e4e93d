// SPDX-License-Identifier: GPL-2.0-only
/*
 * relay INTERFACE REQUEST HEX: makes one ioctl of a network interface and prints the structure as the kernel leaves it, in
 * hexadecimal, or "error N". SIOCETHTOOL gets a pointer to the structure, any other request has it inside of the ifreq.
 *
 * relay INTERFACE listen HEX: wants frames for these addresses, six bytes each, until it is ended. Group addresses have the
 * lowest bit of the first byte set.
 *
 * relay INTERFACE hear TYPE: prints each frame with this Ethertype that comes in, until it is ended: its length, the VLAN tag
 * that the card took out of it, whether its checksum was verified by somebody, its bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
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

static int hears(const char *name, unsigned int type)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror("socket");
		return 1;
	}
	puts("listening");
	for (;;) {
		char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct sockaddr_ll from;
		struct iovec part = { data, sizeof(data) };
		struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1,
					  .msg_control = space, .msg_controllen = sizeof(space) };
		struct tpacket_auxdata more;
		ssize_t len;

		fflush(stdout);
		len = recvmsg(fd, &message, 0);
		if (len < 14 || from.sll_pkttype == PACKET_OUTGOING || (data[12] << 8 | data[13]) != type)
			continue;
		memcpy(&more, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(more));
		printf("%zd %d %d ", len, more.tp_status & TP_STATUS_VLAN_VALID ? more.tp_vlan_tci : -1,
		       !!(more.tp_status & TP_STATUS_CSUM_VALID));
		for (ssize_t i = 0; i < len; i++)
			printf("%02x", data[i]);
		puts("");
	}
}

static int listens(const char *name, size_t len)
{
	struct packet_mreq wanted = { .mr_alen = 6, .mr_ifindex = if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	for (size_t i = 0; i + 6 <= len; i += 6) {
		memcpy(wanted.mr_address, &data[i], 6);
		wanted.mr_type = data[i] & 1 ? PACKET_MR_MULTICAST : PACKET_MR_UNICAST;
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
	if (!strcmp(argv[2], "hear"))
		return hears(argv[1], strtoul(argv[3], NULL, 16));
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
