/*
 * SIP messages as packets in pcap files
 *
 * For programs that read such files. Each message is one UDP datagram between the
 * two ends, also where it came over TCP or TLS: it is seen in clear and in one
 * piece. Written by the thread of sbc/trace.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

struct capture;

/**
 * Begin
 *
 * @param cp    Set to the capture; capture_close ends it
 * @param path  File, mode 0600; full ones become FILE.1 and so on, 25 of 100 MB
 * @param only  Address of one of the two ends; NULL: all messages
 *
 * @return 0; ENOMEM; errno of the file
 */
int capture_open(struct capture **cp, const char *path, const struct sa *only);

/** End it; NULL is fine */
void capture_close(struct capture *c);

struct capture_message {
	uint64_t wall; /* [ms] */
	const struct sa *from, *to;
	const char *p;
	size_t n;
};

/** Write a message, if it is one of those that are wanted. 0; errno of the file */
int capture_write(struct capture *c, const struct capture_message *m);
