/*
 * A witness of all that is said and heard, who knows what must never happen
 *
 * Stands between the core and its peers in a test: each message that the core
 * sends is shown, and each one that it gets. What breaks a rule of RFC 3261 or
 * of behaviour.md is a fault, told in one line.
 */
#pragma once

#include "policy/message.h"

/** Peers by number; the witness knows which are of one side */
enum {
	END_PBX,
	END_PBX_B,
	END_TRUNK,
	END_THIRD,
	ENDS
};

/** Text that a peer puts into each of its tags, Call-IDs and branches */
extern const char *const witness_marks[ENDS];

void witness_reset(void);
/** dialog-transparency: Call-IDs and tags of one side may be named to the other */
void witness_names_cross(bool cross);
/** The core gets this now. wild: not written by the rules */
void witness_hears(int end, const struct message *msg, bool wild);
/** Sends have failed: what the core has asked and nobody answered may be over
 *  for it (RFC 3261 8.1.3.1), and it may ask again; what it was asked may be
 *  answered, and nobody has seen it */
void witness_tears(void);
/** The core has sent this; msg NULL: it could not be scanned */
void witness_sees(int end, struct mbuf *mb, const struct message *msg);
/** All is over: look at what is owed still. lossy: sends have failed, so that a
 *  message that is missing proves nothing */
void witness_ends(bool lossy);
/** First fault, or NULL */
const char *witness_fault(void);
