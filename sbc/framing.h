/*
 * Cut a byte stream into messages and pings
 *
 * RFC 3261 18.3: Content-Length ends a message; RFC 5626 4.4.1: CRLFCRLF is a
 * ping, CRLF its pong. Bytes are looked at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing_what {
	FRAMING_MORE,    /* not enough bytes yet */
	FRAMING_MESSAGE, /* `length` bytes from the front are one message */
	FRAMING_PING,    /* `length` bytes are a ping: answer with CRLF */
	FRAMING_PONG,    /* skip `length` bytes */
	FRAMING_BROKEN /* no Content-Length, too long, no SIP: close. length is
			  * that of the header section when it could be told,
			  * so that a 400 or 513 is possible, else 0. Of a section
			  * that is too long, whole lines, with `cut` set */
};

struct framing {
	size_t looked; /* bytes at the front that were looked at already */
	size_t line;   /* where the line begins that is being looked at */
	size_t body;   /* header section ends here, 0: not found yet */
	size_t length; /* Content-Length, once body is known */
	size_t limit;  /* sip-message-len */
	bool too_long; /* longer than `limit`: 513 */
	bool cut;      /* the end of the header section is missing */
};

/** Begin at the front of a message; limit: longest message [bytes] */
void framing_init(struct framing *f, size_t limit);

/**
 * Look at what has come: bytes from the front of the stream
 *
 * After each MESSAGE, PING and PONG the caller takes `length` bytes off the
 * front. After MORE he comes back with the same bytes and further ones: those
 * seen before are not looked at again. BROKEN is the end.
 *
 * @param f       State between two calls
 * @param p       Bytes from the front
 * @param n       Count of them
 * @param length  Set to the length of what was found
 *
 * @return What it is
 *
 * Source: RFC 3261 7.5, 18.3, 20.14; RFC 5626 4.4.1
 */
enum framing_what framing_next(struct framing *f, const uint8_t *p, size_t n,
			       size_t *length);
