/*
 * One subscription: pairs of dialogs that NOTIFYs cross
 *
 * A SUBSCRIBE or REFER outside a dialog went from side A to side B as one
 * request. Whoever answers or notifies with a tag of his own is one more dialog
 * on side B (RFC 6665 4.4.1: a fork may have several), and gets a dialog of its
 * own on side A. Such a pair is a joint: what comes in one half crosses to the
 * other (sbc/relay). Each ends by itself: with Subscription-State terminated,
 * when it runs out, or by an answer that says it is gone.
 */
#pragma once

#include "sbc/machine.h"
#include "sbc/relay.h"
#include "sbc/replaces.h"
#include "sbc/sides.h"

enum joint_state {
	JOINT_ACTIVE,
	JOINT_LEAVING,  /* unsubscribed: one more NOTIFY is to come */
	JOINT_STOPPING, /* both sides were told that it ends */
	JOINT_OVER,
	JOINT_STATES
};

enum joint_event {
	JOINT_GRANTED = 1, /* 2xx to SUBSCRIBE or REFER */
	JOINT_REVOKED,     /* 2xx with Expires 0 */
	JOINT_NOTIFIED,    /* a NOTIFY was taken: active or pending */
	JOINT_TERMINATED,  /* the last NOTIFY was answered */
	JOINT_LOST,        /* an answer says that it is gone, or none came */
	JOINT_EXPIRED,
	JOINT_STOPPED, /* shutdown */
	JOINT_EVENTS
};

extern const struct machine joint_machine;

struct subscription;

struct subscription_setup {
	const struct hunt *hunt; /* that places the request; outlives it */
	struct leg_tables *tables;
	struct replaces_names names; /* dialogs of calls */
	/** The last dialog ended, and no other can come: it may be freed */
	void (*over)(void *arg);
	void *arg; /* also of its legs on side A */
};

/** Wait for dialogs of the request that hunt places. mem_deref frees. 0; ENOMEM;
 *  EBADMSG the request has no usable Contact */
int subscription_alloc(struct subscription **sp,
		       const struct subscription_setup *setup);

/**
 * The request got its 2xx
 *
 * @param s    Subscription
 * @param msg  The answer
 * @param leg  Set to the leg of side A that the answer goes out on
 *
 * @return 0; EBADMSG it makes no dialog: no To tag, no usable Contact; ENOENT no
 *         subscription comes of it (RFC 4488, RFC 7614); ENOMEM
 */
int subscription_answered(struct subscription *s, const struct message *msg,
			  const struct leg **leg);

/** The request was refused, or goes elsewhere: whoever notified so far has no
 *  dialog any more. `over` is not called */
void subscription_clear(struct subscription *s);

/**
 * Serve a request to a tag of ours; it is answered here or by the other side
 *
 * @param s     Subscription
 * @param leg   Leg that has the tag, on either side
 * @param from  Where it came from
 * @param msg   The request
 */
void subscription_request(struct subscription *s, struct leg *leg,
			  const struct arrival *from,
			  const struct message *msg);

/** Shutdown: tell both sides of each dialog that it ends (RFC 6665 4.1.2.3, 4.2.2).
 *  No dialog comes any more; it may be freed at once, by `over` */
void subscription_stop(struct subscription *s);

/** Joints that live */
uint32_t subscription_count(const struct subscription *s);
