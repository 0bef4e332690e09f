/*
 * Media of one call: port pairs, SDP, orders to forward, news from it
 *
 * Side A is the caller's, side B the called one's. Ports of both sides are
 * reserved before the INVITE leaves (behaviour.md 3.10).
 */
#pragma once

#include "policy/sdp.h"
#include "sbc/worker.h"

enum side {
	SIDE_A,
	SIDE_B
};

struct media;

/** What an answer ends */
enum media_answer {
	MEDIA_EARLY, /* nothing: another one may come (unreliable, or a fork) */
	MEDIA_FINAL, /* the offer, and the session is on: guard timers begin */
	MEDIA_AGREED, /* the offer; the call is not answered yet (PRACK, UPDATE) */
};

enum media_news {
	MEDIA_SILENT /* a guard timer ended, or flow-time-limit: the call ends */
};
typedef void(media_h)(enum media_news news, void *arg);

struct media_setup {
	struct worker *worker;
	const struct plan *plan;
	const struct realm *realm[2]; /* by side; B NULL until media_move */
	struct sa peer[2];         /* signalling peers, restricted-latching */
	uint8_t early_media_allow; /* enum agent_early_media_allow of the
					 caller's session-agent; 0: the realm's */
	bool emergency;            /* max-bandwidth does not stop it */
};

/** Make the media of a call; no ports yet; mem_deref closes flows and gives
 *  ports back (quiet for 2 s). 0; ENOMEM */
int media_alloc(struct media **mp, const struct media_setup *setup, media_h *h,
		void *arg);

/**
 * The route changed: side B is somewhere else now
 *
 * An open offer is forgotten: it is made again, to the next hop. Ports of side B
 * are given back, unless the realm and the family of the address are the same and
 * nothing arrived there yet.
 *
 * @param m        Media
 * @param realm_b  Realm of the next hop
 * @param peer_b   Its signalling address
 *
 * @return 0
 */
int media_move(struct media *m, const struct realm *realm_b,
	       const struct sa *peer_b);

/**
 * Side B is in one more realm, because hops of several are tried together: write
 * the offer of the INVITE as it is made there
 *
 * The caller has one session with all of them. What one realm agrees on counts
 * while it has the media (media_face). In a realm where side B is already, with
 * an address of the same family, the same ports are offered.
 *
 * @param m        Media, with an offer to another hop
 * @param realm_b  Realm of the hop
 * @param peer_b   Its signalling address
 * @param sdp      SDP of the INVITE, or NULL: it has none
 * @param out      Set to a new buffer, where there is SDP
 *
 * @return 0; as media_offer
 */
int media_beside(struct media *m, const struct realm *realm_b,
		 const struct sa *peer_b, const struct pl *sdp,
		 struct mbuf **out);

/** Side B speaks from this address in a realm where it was offered media: what
 *  comes next is said there. Nothing happens in any other realm */
void media_face(struct media *m, const struct realm *realm_b,
		const struct sa *peer_b);

/** No hop at an address of this family (AF_INET, AF_INET6) in this realm is tried
 *  any more, while others are: its ports go back */
void media_leave(struct media *m, const struct realm *realm_b, int af);

/** The early dialog that has the media is dead: the offer of the INVITE waits for
 *  the answer of another one */
void media_hush(struct media *m);

/**
 * An offer came from a side: reserve what is missing on both sides, and write
 * what the other side shall see
 *
 * Nothing changes for the running session before media_answer. An offer that has
 * had a provisional answer counts as agreed with it when the next one comes
 * (RFC 3262 5, RFC 3311 5.1). Where media goes directly (behaviour.md 3.10) the
 * SDP leaves as it came.
 *
 * @param m     Media
 * @param from  Side that offers
 * @param sdp   Its SDP
 * @param out   Set to a new buffer with the rewritten SDP (pos 0)
 *
 * @return 0; ENOSPC no port pair (503, alarm is raised); EPROTO no usable
 *         stream (488); EBADMSG not SDP (400); EALREADY an offer is open (491);
 *         EINVAL the realm of side B is not known yet; EDQUOT max-bandwidth of a
 *         realm (503 or the next route, 488 in a call); ENOMEM
 */
int media_offer(struct media *m, enum side from, const struct pl *sdp,
		struct mbuf **out);

/**
 * The answer to the open offer came from a side: flows are opened or changed
 *
 * A provisional answer (early media) may be followed by others, also of other
 * early dialogs; the last one counts. To a later offer only the final answer
 * changes anything (RFC 6141).
 *
 * @param m     Media
 * @param from  Side that answers
 * @param sdp   Its SDP
 * @param what  What it ends
 * @param out   Set to a new buffer with the rewritten SDP (pos 0)
 *
 * @return 0; EBADMSG not SDP or another number of m= lines; ENOENT no offer;
 *         ENOSPC; ENOMEM
 */
int media_answer(struct media *m, enum side from, const struct pl *sdp,
		 enum media_answer what, struct mbuf **out);

/** Did an offer get an answer that counts, so that SDP in a further answer to the
 *  INVITE is only a copy (RFC 3261 13.2.1)? */
bool media_is_agreed(const struct media *m);

/** Rewrite such a copy: it changes nothing. 0; EBADMSG; ENOMEM */
int media_copy(struct media *m, enum side from, const struct pl *sdp,
	       struct mbuf **out);

/** Offers and answers of an early dialog that does not have the media; its end is
 *  mem_deref */
struct media_view;

/**
 * Another early dialog of the same INVITE speaks: what the one before agreed on
 * is put away, and what this one did is taken up
 *
 * A dialog that has not spoken yet knows the offer of the INVITE alone; the
 * flows stay as they are until it answers.
 *
 * @param m        Media, before the answer of the call
 * @param realm_b  As for media_face, of the one that has them now
 * @param peer_b   The same
 * @param before  Of the dialog that had the media: set
 * @param next    Of the one that has them now: taken, NULL afterwards
 *
 * @return 0; ENOMEM: nothing changed
 */
int media_turn(struct media *m, const struct realm *realm_b,
	       const struct sa *peer_b, struct media_view **before,
	       struct media_view **next);

/** The offer was refused: the session stays as it was (RFC 6141) */
void media_offer_failed(struct media *m);

/** The final answer bears no SDP: that of the 1xx before holds from now on (RFC
 *  3261 13.2.1). Without one nothing happens. 0; errno of the flows */
int media_agree(struct media *m);

/** Has an offer been made that waits for its answer; from which side? */
bool media_offer_open(const struct media *m, enum side *from);

/** Towards a side this is the SDP peer that another session was (RFC 3264 8):
 *  same o=, the version goes on */
void media_continue(struct media *m, enum side side, const struct media *other,
		    enum side other_side);
/** Remember from now on what each side said: the SBC may have to say it again */
void media_keep(struct media *m);
/** SDP of this side in the running session. False: none is remembered. The
 *  range is good until the next offer or answer */
bool media_said(const struct media *m, enum side side, struct pl *sdp);

/** Does the caller see no SDP before the answer (early-media-allow none)? */
bool media_hides_early(const struct media *m);

/** The call is answered: initial-guard-timer begins */
void media_started(struct media *m);

/** For call records and show: first audio stream, both sides */
struct media_report {
	char codec[2][24];
	struct sa local[2], remote[2];
	uint64_t packets[2], octets[2]; /* from that side */
	uint32_t lost[2], jitter[2];    /* [us] */
	bool latched[2];
};
typedef void(media_report_h)(const struct media_report *r, void *arg);

/** News of media_close; called once */
typedef void(media_report_h)(const struct media_report *r, void *arg);

/** The last counters known */
void media_report(const struct media *m, struct media_report *out);

/** Ask for newer counters; they are here a moment later */
void media_refresh(struct media *m);

/** The call is over: close all flows. h is told the final counters once, at once
 *  if there was no flow. Then m may be dereferenced, which gives the ports back,
 *  also in h; when m is dereferenced before, h is not called */
void media_close(struct media *m, media_report_h *h, void *arg);
