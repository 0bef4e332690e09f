/*
 * Why a request ends: code, phrase, Retry-After, Reason
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** What ends a request or a call, decided once and carried to the answer, the
 *  record, the counter and the log */
struct cause {
	uint16_t code;        /* SIP status */
	uint16_t q850;        /* 0: none (RFC 3326) */
	uint32_t retry_after; /* [s], 0: none */
	const char *phrase;   /* NULL: the usual one */
	const char *step;     /* "choose-route": step of ingress, or NULL */
	const char *object;   /* key of the element behind it, or NULL */
};

/** Usual phrase of a status code (RFC 3261 21 and the RFCs after it); of an
 *  unknown code that of its class. Never NULL */
const char *cause_phrase(uint16_t code);

/** Q.850 cause of a status code (RFC 3398 8.2.6.1); 0: none */
uint16_t cause_q850(uint16_t code);

/** Which of two final answers does the caller get (RFC 3261 16.7 step 6,
 *  behaviour.md 2.9)? True when `b`, that came later, is better */
bool cause_is_better(uint16_t a, uint16_t b);
