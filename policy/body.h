/*
 * What of a body crosses: its SDP rewritten, fragments without names
 *
 * The row "body" of behaviour.md 3.1. A body that is SDP and nothing else is
 * the usual one: it is found here, and whoever has rewritten it sends that
 * instead. Bodies of several parts (RFC 2046 5.1) keep all their other parts
 * byte by byte.
 */
#pragma once

#include <stdbool.h>
#include "policy/message.h"

/**
 * Find the SDP of a body: the body itself, or a part of multipart
 *
 * @param ctype  Value of Content-Type
 * @param body   Body
 * @param sdp    Set to the SDP's range within body
 *
 * @return 0; ENOENT no SDP in it; EBADMSG multipart that cannot be read
 */
int body_find_sdp(const struct pl *ctype, const struct pl *body,
		  struct pl *sdp);

/** Has the message SDP in its body, by itself or as a part? Then sdp is set */
bool body_sdp(const struct message *msg, struct pl *sdp);

/** Is the body SDP and nothing else? */
bool body_is_sdp(const struct message *msg);

/**
 * Make a body ready for the other side: message/sip and message/sipfrag, by
 * themselves or as parts, lose what names the sender's side (hide_fragment);
 * the first SDP among several parts becomes `sdp`, others are left out. SDP
 * alone is not touched, and anything else crosses as it is.
 *
 * @param msg  A clone; its body is another one afterwards, where that is needed
 * @param sdp  Rewritten SDP; empty: no SDP crosses
 *
 * @return 0; EBADMSG multipart that cannot be read; ENOMEM
 */
int body_cross(struct message *msg, const struct pl *sdp);
