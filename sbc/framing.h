/*
 * Cut a byte stream into messages and pings
 *
 * RFC 3261 18.3: Content-Length ends a message; RFC 5626 4.4.1: CRLFCRLF is a
 * ping, CRLF its pong. Bytes are looked at once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mbuf;

enum framing_what {
	FRAMING_MORE,    /* not enough bytes yet */
	FRAMING_MESSAGE, /* `length` bytes from the front are one message */
	FRAMING_PING,    /* `length` bytes are a ping: answer with CRLF */
	FRAMING_PONG,    /* skip `length` bytes */
	FRAMING_BROKEN   /* no Content-Length, too long, no SIP: close */
};

struct framing {
	size_t looked; /* bytes at the front that were looked at already */
	size_t body;   /* header section ends here, 0: not found yet */
	size_t limit;  /* sip-message-len */
};

void framing_init(struct framing *f, size_t limit);

/** Look at what has come: bytes from the front of the stream */
enum framing_what framing_next(struct framing *f, const uint8_t *p, size_t n,
			       size_t *length);
