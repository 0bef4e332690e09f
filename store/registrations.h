/*
 * State of registrations: loaded at start, written behind
 *
 * One row for each AoR of a surrogate-agent (behaviour.md 4.7). Times are wall
 * clock, seconds since 1970.
 */
#pragma once

#include <stdint.h>
#include "store/database.h"

struct registration_row {
	const char *aor;   /* "user@register-host", with agent the key */
	const char *agent; /* key of the surrogate-agent */
	const char *callid, *from_tag;
	const char *contact;   /* own Contact URI */
	const char *registrar; /* "host|egress-realm" it was registered with */
	const char *target;    /* "127.0.0.11:5060;transport=UDP" */
	const char *service_route, *associated; /* header values, "" none */
	uint32_t cseq_reserved;                 /* end of the reserved block */
	uint32_t granted;                       /* [s] */
	uint32_t min_expires;                   /* adopted; 0: none [s] */
	uint32_t failures;                      /* in a row */
	uint64_t expires, refresh; /* wall clock [s]; 0: no binding */
	uint16_t shard;
	uint64_t epoch;
	uint8_t state;
};

typedef void(registration_row_h)(const struct registration_row *row, void *arg);

/**
 * Read all rows; the row is valid within the handler only
 *
 * @return 0; EIO
 */
int registrations_load(struct database *db, registration_row_h *h, void *arg);

/** Moment of the last write [s since 1970], 0: never */
uint64_t registrations_written(struct database *db);

/** Queue a row; copied; the newest row of an AoR replaces one that waits.
 *  0; ENOMEM; ENOBUFS the queue is full */
int registrations_put(struct database *db, const struct registration_row *row);

/** Queue the removal of a row */
int registrations_drop(struct database *db, const char *agent, const char *aor);
