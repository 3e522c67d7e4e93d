// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls that a shell cannot make.
 *
 *	calls DEVICE WORD...	on one opening, with a line of output for each word:
 *				nonblock, read, short (one byte), bad (a read to no
 *				address), long (4097 bytes), poll, WORD (is written)
 *	calls DEVICE stress READERS WRITERS TIMES
 *				each writer writes TIMES messages, while signals
 *				rain on the readers; each message is read once
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *device;
/* Volatile, or the compiler sees that nothing is there. */
static void *volatile nowhere = (void *)1;

static int opened(int flags)
{
	int fd = open(device, flags);

	if (fd < 0) {
		perror(device);
		exit(1);
	}
	return fd;
}

static void tell(const char *word, ssize_t done, const char *bytes)
{
	if (done < 0)
		printf("%s: %s\n", word, strerrorname_np(errno));
	else if (bytes)
		printf("%s: %zd \"%.*s\"\n", word, done, (int)done, bytes);
	else
		printf("%s: %zd\n", word, done);
	fflush(stdout);
}

static void one(int fd, const char *word)
{
	static char bytes[4097];
	struct pollfd at = { .fd = fd, .events = POLLIN | POLLOUT };

	if (!strcmp(word, "nonblock")) {
		tell(word, fcntl(fd, F_SETFL, O_NONBLOCK), NULL);
	} else if (!strcmp(word, "read")) {
		tell(word, read(fd, bytes, sizeof(bytes)), bytes);
	} else if (!strcmp(word, "short")) {
		tell(word, read(fd, bytes, 1), bytes);
	} else if (!strcmp(word, "bad")) {
		tell(word, read(fd, nowhere, 1), NULL);
	} else if (!strcmp(word, "long")) {
		tell(word, write(fd, bytes, sizeof(bytes)), NULL);
	} else if (!strcmp(word, "poll")) {
		poll(&at, 1, 0);
		printf("poll:%s%s\n", at.revents & POLLIN ? " in" : "", at.revents & POLLOUT ? " out" : "");
		fflush(stdout);
	} else if (!strcmp(word, "wait")) {
		at.events = POLLIN;
		tell(word, poll(&at, 1, -1), NULL);
	} else {
		tell(word, write(fd, word, strlen(word)), NULL);
	}
}

static void nothing(int number)
{
	(void)number;
}

/* Hands each message on, whole: a pipe takes a struct of this size at once. */
struct message {
	int number;
};

static void reader(int out)
{
	struct message message;
	ssize_t done;
	int fd = opened(O_RDONLY);

	for (;;) {
		done = read(fd, &message, sizeof(message));
		if (done == 0)
			continue;
		if (done != sizeof(message) || write(out, &message, sizeof(message)) < 0)
			_exit(1);
	}
}

static void writer(int first, int times)
{
	int fd = opened(O_WRONLY);

	for (int i = 0; i < times; i++) {
		struct message message = { first + i };

		while (write(fd, &message, sizeof(message)) < 0)
			if (errno != ENOSPC)
				_exit(1);
			else
				usleep(1000);
	}
	_exit(0);
}

static int stress(int readers, int writers, int times)
{
	struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	int total = writers * times, bad = 0, status;
	int *seen = calloc(total, sizeof(*seen));
	pid_t *pids = calloc(readers, sizeof(*pids));
	struct message message;
	int fds[2];

	sigaction(SIGUSR1, &action, NULL);
	if (!seen || !pids || pipe(fds))
		return 1;
	for (int i = 0; i < readers; i++)
		if (!(pids[i] = fork()))
			reader(fds[1]);
	for (int i = 0; i < writers; i++)
		if (!fork())
			writer(i * times, times);
	for (int i = 0; i < total; i++) {
		if (read(fds[0], &message, sizeof(message)) != sizeof(message))
			return 1;
		if (message.number < 0 || message.number >= total)
			bad++;
		else
			seen[message.number]++;
		kill(pids[i % readers], SIGUSR1);
	}
	for (int i = 0; i < readers; i++)
		kill(pids[i], SIGTERM);
	while (wait(&status) > 0)
		bad += WIFEXITED(status) && WEXITSTATUS(status);
	/* What a reader had read when it was ended. */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	while (read(fds[0], &message, sizeof(message)) > 0)
		bad++;
	for (int i = 0; i < total; i++)
		bad += seen[i] != 1;
	printf("%d messages, %d wrong\n", total, bad);
	return bad != 0;
}

int main(int argc, char **argv)
{
	device = argv[1];
	if (argc == 6 && !strcmp(argv[2], "stress"))
		return stress(atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	for (int i = 2, fd = opened(O_RDWR); i < argc; i++)
		one(fd, argv[i]);
	return 0;
}
