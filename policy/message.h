/*
 * A SIP message as ranges of its bytes, and edits on top of them
 *
 * A message is scanned once, in one pass of linear time, into one block of
 * memory. Names are compared in full. NUL, bare CR or LF, duplicates that
 * differ and the other tricks of behaviour.md 1.2 end the scan; folding becomes
 * blanks in place. So each range is one well-formed header. Values are decoded
 * when somebody asks (policy/header). Edits lie on top of the bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "policy/header.h"

/** Headers known by name; both forms, long and compact, give the same id */
enum header_id {
	HDR_OTHER,
	HDR_VIA,
	HDR_FROM,
	HDR_TO,
	HDR_CALL_ID,
	HDR_CSEQ,
	HDR_MAX_FORWARDS,
	HDR_CONTACT,
	HDR_ROUTE,
	HDR_RECORD_ROUTE,
	HDR_CONTENT_LENGTH,
	HDR_CONTENT_TYPE,
	HDR_CONTENT_ENCODING,
	HDR_CONTENT_DISPOSITION,
	HDR_ACCEPT,
	HDR_ALLOW,
	HDR_ALLOW_EVENTS,
	HDR_SUPPORTED,
	HDR_REQUIRE,
	HDR_PROXY_REQUIRE,
	HDR_UNSUPPORTED,
	HDR_AUTHORIZATION,
	HDR_PROXY_AUTHORIZATION,
	HDR_WWW_AUTHENTICATE,
	HDR_PROXY_AUTHENTICATE,
	HDR_AUTHENTICATION_INFO,
	HDR_PROXY_AUTHENTICATION_INFO,
	HDR_EXPIRES,
	HDR_MIN_EXPIRES,
	HDR_RETRY_AFTER,
	HDR_REASON,
	HDR_WARNING,
	HDR_USER_AGENT,
	HDR_SERVER,
	HDR_ORGANIZATION,
	HDR_PATH,
	HDR_SERVICE_ROUTE,
	HDR_P_ASSOCIATED_URI,
	HDR_P_ASSERTED_IDENTITY,
	HDR_P_PREFERRED_IDENTITY,
	HDR_P_CALLED_PARTY_ID,
	HDR_PRIVACY,
	HDR_DIVERSION,
	HDR_HISTORY_INFO,
	HDR_REFER_TO,
	HDR_REFERRED_BY,
	HDR_REPLACES,
	HDR_IN_REPLY_TO,
	HDR_TARGET_DIALOG,
	HDR_RSEQ,
	HDR_RACK,
	HDR_SESSION_EXPIRES,
	HDR_MIN_SE,
	HDR_EVENT,
	HDR_SUBSCRIPTION_STATE,
	HDR_SUBJECT,
	HDR_DATE,
	HDR_TIMESTAMP,
	HDR_MIME_VERSION,
	HDR_SECURITY_CLIENT,
	HDR_SECURITY_VERIFY,
	HDR_SECURITY_SERVER,
	HDR_IDS
};

/** Methods known by name */
enum method_id {
	METHOD_OTHER,
	INVITE,
	ACK,
	CANCEL,
	BYE,
	OPTIONS,
	REGISTER,
	INFO,
	PRACK,
	UPDATE,
	REFER,
	SUBSCRIBE,
	NOTIFY,
	MESSAGE,
	PUBLISH,
	METHODS
};

enum header_edit {
	HEADER_KEPT,
	HEADER_CHANGED,
	HEADER_DROPPED
};

struct header {                 /* ranges of the bytes */
	uint32_t at;            /* of the line */
	uint16_t len, name_len; /* line with CRLF; name */
	uint16_t val, val_len;  /* value, from `at` */
	uint8_t id, edit;
};

struct edits; /* changed and added lines, in message.c */

struct message {
	struct mbuf *mb;                /* the bytes, one reference */
	struct pl method, ruri, reason; /* start line */
	struct pl callid, branch, from_tag, to_tag, body;
	uint32_t cseq;
	uint8_t method_id; /* of the request line, of CSeq in a response */
	uint16_t code, n;  /* 0: request; number of headers */
	uint64_t ids;      /* a bit for each header_id that is or was there */
	struct header *headers; /* in order, 48 in the same block */
	struct edits *edits;    /* NULL until something is changed */
};

/** Why a scan ended */
enum scan_fault {
	SCAN_OK,
	SCAN_NOT_SIP,    /* no start line: silence */
	SCAN_VERSION,    /* 505 */
	SCAN_BAD_HEADER, /* 400 */
	SCAN_MISSING,    /* 400, or silence: Via, From, To, Call-ID, CSeq */
	SCAN_DUPLICATE,  /* 400 */
	SCAN_BAD_VALUE, /* 400: Via, From, To, CSeq, Content-Length unreadable */
	SCAN_LENGTH,    /* 400: Content-Length larger than what came */
	SCAN_TOO_MANY,  /* 400: over 256 headers or 16384 bytes of headers */
	SCAN_CSEQ_METHOD, /* 400 */
	SCAN_URI,         /* 416: Request-URI not sip, sips or tel */
	SCAN_FAULTS
};
struct scan_result {
	enum scan_fault fault;
	enum header_id header; /* the one at fault, or HDR_OTHER */
	bool answerable; /* Via, From, To, Call-ID, CSeq can be copied: msg set */
};

/**
 * Scan a message
 *
 * From mb->pos to mb->end is the message; in a datagram what is beyond
 * Content-Length is cut off. On a fault of a request that can be answered, msgp
 * is set as well, so that the caller can build the answer.
 *
 * @param msgp    Set to the message, which takes a reference of mb; mem_deref
 * @param mb      Bytes; folding is undone in place
 * @param result  Set
 *
 * @return 0; EBADMSG (see result); ENOMEM
 */
int message_scan(struct message **msgp, struct mbuf *mb,
		 struct scan_result *result);

/** A shallow copy with its own header marks and edits; the bytes are shared */
int message_clone(struct message **msgp, const struct message *msg);

/** First header of an id; the next one after h. NULL if there is none.
 *  Dropped headers are not found; changed ones are, with their new value */
const struct header *message_first(const struct message *msg,
				   enum header_id id);
const struct header *message_next(const struct message *msg,
				  const struct header *h);

/** Value of a header, blanks at both ends off; its name */
struct pl header_value(const struct message *msg, const struct header *h);
struct pl header_name(const struct message *msg, const struct header *h);

/** Value of the first header of an id, empty if there is none */
struct pl message_value(const struct message *msg, enum header_id id);

/**
 * What every message is asked for several times, decoded once by the scan
 *
 * message_via is the top Via, NULL when the scan could not read it; `text`, if
 * not NULL, is set to its value without those that follow on its line.
 * message_address reads the one value of From, To or another header that holds
 * a single address, edits included.
 *
 * @return message_address: 0; ENOENT no such header; EINVAL
 */
const struct via *message_via(const struct message *msg, struct pl *text);
int message_address(struct address *addr, const struct message *msg,
		    enum header_id id);
/** The Request-URI as it is now; NULL in a response, or when it is no URI of
 *  ours (the scan faults with SCAN_URI) */
const struct uri *message_uri(const struct message *msg);

/** First header by name, for names without id (without case) */
const struct header *message_named(const struct message *msg, const char *name);

/** Is the token in any header of the id (comma-separated, without case)? */
bool message_has_token(const struct message *msg, enum header_id id,
		       const char *token);

/**
 * Edits
 *
 * Values are copied. Ranges and header pointers that were handed out before
 * stay good until the message is freed; callid, branch, tags and cseq stay what
 * was scanned. A value may hold text from outside: one that would end its line
 * (CR, LF, NUL) is refused.
 *
 * @return 0; ENOMEM; EINVAL such a value, a name that is no token, HDR_OTHER
 *         where an id is asked for; EMSGSIZE a line above 16384 bytes
 */
/** Replace all headers of an id by one with this value, at the first's place */
int message_set(struct message *msg, enum header_id id, const struct pl *value);
/** Append a header; leave all of an id out; change one header's value */
int message_add(struct message *msg, enum header_id id, const struct pl *value);
int message_add_named(struct message *msg, const char *name,
		      const struct pl *value);
int message_drop(struct message *msg, enum header_id id);
/** Leave this one header out; message_next still goes on from it */
void message_remove(struct message *msg, const struct header *h);
int message_change(struct message *msg, const struct header *h,
		   const struct pl *value);
/** Take another Request-URI: msg->ruri is the new one. EINVAL in a response, or
 *  when it is no URI; EPROTONOSUPPORT another scheme than sip, sips, tel */
int message_set_ruri(struct message *msg, const struct pl *ruri);
/** Take another body: msg->body is the new one. Type NULL keeps Content-Type,
 *  "" leaves it out. Bytes are copied */
int message_set_body(struct message *msg, const struct pl *body,
		     const char *type);

/**
 * Append the header lines of the message that are not in `without`, with the
 * edits, to mb; no start line, no blank line, no body, never Content-Length.
 * Runs of untouched lines are one memcpy.
 *
 * @param without  Set of header ids, one bit each (header_set)
 *
 * @return 0; ENOMEM
 */
struct header_set {
	uint64_t bits; /* HDR_IDS <= 64 */
};
int message_write_headers(struct mbuf *mb, const struct message *msg,
			  struct header_set without);

/** Append the whole message with edits, Content-Length counted anew */
int message_write(struct mbuf *mb, const struct message *msg);

/** Name of a header in its long form ("Call-ID"); id by name, HDR_OTHER */
const char *header_id_name(enum header_id id);
enum header_id header_id_find(const struct pl *name);
const char *method_name(enum method_id id);
enum method_id method_find(const struct pl *name); /* case-sensitive */
