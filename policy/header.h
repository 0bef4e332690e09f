/*
 * Decode one header value: address, URI, Via, CSeq, parameters, challenge
 *
 * All results are ranges of the text that was given; nothing is copied. Linear
 * time, strict: what is not well-formed is an error, never a guess. A part that
 * is not there is an empty range, never NULL.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

/** A SIP, SIPS or tel URI (RFC 3261 19.1, RFC 3966) */
struct uri {
	struct pl scheme; /* "sip", "sips", "tel" */
	struct pl user;   /* as written, escapes kept; tel: the number */
	struct pl password;
	struct pl host;    /* IPv6 without brackets */
	struct pl params;  /* ";a=b;c", with the leading semicolon, or empty */
	struct pl headers; /* "?x=y", with the mark, or empty */
	uint16_t port;     /* 0: none */
	bool has_user;
};

/** Read a URI, the whole text. 0; EINVAL; EPROTONOSUPPORT another scheme */
int uri_read(struct uri *uri, const struct pl *text);

/** Is host an address? Then sa is set, with the URI's port */
bool uri_is_numeric(const struct uri *uri, struct sa *sa);

/** Compare after RFC 3261 19.1.4 */
bool uri_equal(const struct uri *a, const struct uri *b);

/** User parts equal: visual separators of numbers do not count (RFC 3966 5) */
bool user_equal(const struct pl *a, const struct pl *b);

/** Host equal without case; a trailing dot and IPv6 forms do not count */
bool host_equal(const struct pl *a, const struct pl *b);

/** name-addr or addr-spec with header parameters (RFC 3261 20.10) */
struct address {
	struct pl display; /* as written, quotes included */
	struct pl spec;    /* the URI's text */
	struct uri uri;    /* of spec; scheme empty when it is another URI */
	struct pl params;  /* header parameters, ";tag=x;q=1", or empty */
};

/** Read one address, the whole text. 0; EINVAL */
int address_read(struct address *addr, const struct pl *text);

/** Read From or To with its tag, in one walk; tag is empty before, and stays so
 *  without one. 0; EINVAL, also a tag without value, and two of them, which would
 *  be two dialogs */
int address_read_tagged(struct address *addr, struct pl *tag,
			const struct pl *text);
/** The tag alone: display name, URI and parameters are told apart, and the URI is
 *  not read. As address_read_tagged, but a URI is never EINVAL */
int address_tag(struct pl *tag, const struct pl *text);

/** Cut the first value of a comma-separated list off; quoted strings, <> and
 *  comments are respected. 0; ENOENT at the end; EINVAL */
int list_next(struct pl *rest, struct pl *value);

/** Value of a parameter in ";a=b;c" (names without case). A parameter without
 *  value gives an empty range. Quotes are kept. 0; ENOENT */
int param_get(const struct pl *params, const char *name, struct pl *value);

/** Cut the first parameter off. 0; ENOENT at the end; EINVAL */
int param_next(struct pl *rest, struct pl *name, struct pl *value);

/** Take the quotes off a quoted string into buf, escapes undone; a text without
 *  quotes is copied. Length, or -1 if it does not fit */
int quoted_undo(char *buf, size_t size, const struct pl *text);

/** Via (RFC 3261 20.42) */
struct via {
	struct pl transport;
	struct pl host; /* sent-by, IPv6 without brackets */
	uint16_t port;  /* 0: none */
	struct pl branch, params;
	bool has_rport; /* with or without value */
};
int via_read(struct via *via, const struct pl *text);

/** Read the first Via of a list, and say where it stands. 0; EINVAL */
int via_read_top(struct via *via, struct pl *text, const struct pl *list);

/** CSeq: number below 2^31 and method. 0; EINVAL */
int cseq_read(uint32_t *number, struct pl *method, const struct pl *text);

/** A challenge or credentials: `Digest realm="x", nonce="y"` */
struct challenge {
	struct pl scheme;
	struct pl realm, nonce, opaque; /* between the quotes, escapes kept */
	struct pl algorithm, qop;       /* qop list without quotes */
	struct pl domain;
	bool stale, userhash;
	bool has_opaque, has_algorithm, has_qop;
};

/** Read one challenge, the whole header value. 0; EINVAL (also a scheme other
 *  than Digest gives 0, with scheme set and nothing else) */
int challenge_read(struct challenge *c, const struct pl *text);
/** Its text was copied: the ranges are of the copy now */
void challenge_move(struct challenge *c, const struct pl *text,
		    const char *copy);

/** Cut the first `name=value` of Digest parameters off, parted by commas; quotes
 *  are kept. 0; ENOENT at the end; EINVAL */
int digest_param_next(struct pl *rest, struct pl *name, struct pl *value);

/** Media type of Content-Type: is it type/subtype? without case */
bool content_is(const struct pl *value, const char *type, const char *subtype);
