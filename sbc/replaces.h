/*
 * Replaces: a dialog of one side named for the other
 */
#pragma once
#include "policy/message.h"
#include "sbc/leg.h"

/**
 * Find the leg whose dialog a Replaces value names
 *
 * Only dialogs of this realm count: no tenant reaches another's (behaviour.md
 * 5.4). The tag of ours is looked up, so the cost is that of one hash.
 *
 * @param tables  Legs of all calls
 * @param realm   Realm that asks
 * @param value   "CALLID;to-tag=OURS;from-tag=PEERS", or with the tags of the
 *               leg the other way round, as the peer that began it sees them
 *
 * @return Leg that is confirmed and not closed; NULL if there is none
 *
 * Source: RFC 3891 3
 */
struct leg *replaces_find(const struct leg_tables *tables,
			  const struct realm *realm, const struct pl *value);

/**
 * Write the value that names another leg instead
 *
 * @param mb     Appended: Call-ID, to-tag, from-tag, and what else value has
 * @param leg    The other leg of the call
 * @param value  As it came
 *
 * @return 0; EINVAL value is none; ENOMEM
 */
int replaces_write(struct mbuf *mb, const struct leg *leg,
		   const struct pl *value);

/** replaces_find() and the other leg of the call, which the maker of legs knows */
typedef struct leg *(replaces_other_h)(const struct leg *leg);

/** Who knows the dialogs that a request may name */
struct replaces_names {
	const struct leg_tables *tables; /* of all calls */
	replaces_other_h *other;
};

/**
 * Find the Replaces in the URI of Refer-To, as the header would have it
 *
 * @param mb  Appended: the value without escapes
 *
 * @return 0; ENOENT there is none; EBADMSG Refer-To cannot be read; ENOMEM
 */
int replaces_of_refer(struct mbuf *mb, const struct message *msg);

/** Leave out of a request what names dialogs, where none can be meant. 0; ENOMEM */
int replaces_drop(struct message *msg);

/** Does the message name dialogs that replaces_edit would look at? */
bool replaces_any(const struct message *msg);

/**
 * Translate the Replaces within the URI of Refer-To, Target-Dialog and
 * In-Reply-To, or take them out
 *
 * A dialog that the asking realm does not have, or whose other leg is not in
 * the realm where the request goes, is left unnamed (behaviour.md 3.1).
 *
 * @param msg     Request that is edited
 * @param tables  Legs of all calls
 * @param from    Realm that asks
 * @param to      Realm where the request goes
 * @param other   Gives the other leg
 *
 * @return 0, also when there is nothing to do; EBADMSG Refer-To cannot be read;
 *         ENOMEM
 *
 * Source: RFC 3891, RFC 4538, RFC 3261 20.21
 */
int replaces_edit(struct message *msg, const struct leg_tables *tables,
		  const struct realm *from, const struct realm *to,
		  replaces_other_h *other);
