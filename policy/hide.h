/*
 * What must not cross to the other side
 *
 * The header table of behaviour.md 3.1, and Privacy (RFC 3323, 3325).
 */
#pragma once

#include "policy/message.h"

struct hide_setup {
	bool trusted; /* the peer it goes to gets identities */
	bool challenge; /* WWW- and Proxy-Authenticate are passed on (section 6) */
	bool authorization;     /* Authorization of the sender may pass */
	const struct sa *local; /* ours on that side: host of Warning */
};

/** Headers that never cross, as a set for message_write_headers: Via, From, To,
 *  Call-ID, CSeq, Max-Forwards, Contact, Route, Record-Route, Path, ... */
struct header_set hide_set(const struct message *msg,
			   const struct hide_setup *setup);

/** Does a header of this id never cross? */
bool hide_is_never(enum header_id id);

/** Edit what crosses in another form: Supported, Require, Allow, Warning, a
 *  body that is a message (hide_fragment). 0; ENOMEM */
int hide_edit(struct message *msg, const struct hide_setup *setup);

/**
 * Append a body of message/sip or message/sipfrag without its Via, Contact and
 * Record-Route lines, other routes, names of dialogs and credentials; all else is copied byte by byte, also what is no header
 *
 * @return 0; ENOMEM
 */
int hide_fragment(struct mbuf *mb, const struct pl *body);
