/*
 * Bytes to message and back: top Via, received, rport, our Via and Contact
 *
 * Writes whole messages around the copied ranges of another one. Nothing is
 * formatted: byte ranges are appended.
 */
#pragma once

#include "policy/message.h"
#include "sbc/port.h"

/** A request that leaves */
struct wire_request {
	enum method_id method;
	struct pl method_name; /* used when method is METHOD_OTHER */
	struct pl ruri;
	const struct port *port; /* Via, Contact */
	const char *branch;
	const struct sa *origin; /* parameter of the Via, or NULL */
	struct pl from, to;      /* header values with their tags */
	struct pl callid;
	uint32_t cseq;
	uint8_t max_forwards;
	struct pl contact;         /* URI, or empty: none */
	struct pl contact_params;  /* behind the ">": ";expires=600" */
	struct pl routes;          /* value of Route, or empty */
	const struct message *src; /* headers that cross; NULL: none */
	struct header_set without; /* of src */
	struct pl extra;           /* whole lines with CRLF, appended */
	struct pl body, ctype;     /* ctype empty: that of src stays */
	bool keep_body;            /* body of src as it is */
};

/** A response that leaves */
struct wire_response {
	const struct message *request;
	const struct arrival *from; /* received and rport of the top Via */
	uint16_t code;
	struct pl reason;   /* empty: the usual phrase */
	const char *to_tag; /* added when the request's To has none */
	struct pl contact;
	const struct message *src;
	struct header_set without;
	struct pl extra;
	struct pl body, ctype;
	bool keep_body;
};

/** Write; mbp is set to a new buffer with pos 0. 0; ENOMEM */
int wire_request(struct mbuf **mbp, const struct wire_request *r);
int wire_response(struct mbuf **mbp, const struct wire_response *r);

/** Source of a request, where the session-agent that it goes to wants it in the top
 *  Via (option via-origin); else NULL */
const struct sa *wire_origin(const struct session_agent *agent,
			     const struct sa *src);

/** Where the response to a request goes (RFC 3261 18.2.2, RFC 3581): source
 *  address and port, on the connection it came on */
void wire_reply_target(struct target *to, const struct arrival *from);

/** ACK to a failure answer (RFC 3261 17.1.1.3), CANCEL (9.1): from the bytes
 *  of our request. 0; EBADMSG; ENOMEM */
int wire_ack_failure(struct mbuf **mbp, struct mbuf *request,
		     const struct message *response);
int wire_cancel(struct mbuf **mbp, struct mbuf *request,
		const struct pl *reason);

/** Is a Via, Route or Request-URI host one of the sip-ports of ours? */
bool wire_is_ours(const struct realms *realms, const struct pl *host,
		  uint16_t port);
