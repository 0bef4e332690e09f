/*
 * Text written into a buffer of fixed size
 */
#pragma once

#include <stdbool.h>
#include "store/base.h"

/** A buffer and how much of it is written; always ended by a zero */
struct pen {
	char *p;
	size_t size, l;
	bool full; /* something did not fit; nothing more is written */
};

/** Append bytes */
void pen_put_mem(struct pen *t, const char *p, size_t l);
/** Append a string */
void pen_put(struct pen *t, const char *s);
/** Append a number */
void pen_put_uint(struct pen *t, uint64_t n);
/** Append a host; a bare IPv6 address gets its brackets */
void pen_put_host(struct pen *t, const char *host);
/** Append an address without its port, IPv6 in brackets */
void pen_put_address(struct pen *t, const struct sa *sa);
/** Append ";transport=x"; nothing for UDP */
void pen_put_transport(struct pen *t, uint8_t transport);
