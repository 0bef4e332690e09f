/*
 * Counters and gauges per thread, summed when read
 *
 * What the numbers mean: acli.md 2.2. Periods of 100 s of the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
/* X(id, EVENT, "table", "row as shown") */
#define COUNTERS(X) \
	X(SESSIONS, GAUGE, "sipd", "Sessions") \
	X(SESSIONS_INITIAL, GAUGE, "sessions", "Initial") \
	X(SESSIONS_EARLY, GAUGE, "sessions", "Early") \
	X(SESSIONS_ESTABLISHED, GAUGE, "sessions", "Established") \
	X(SESSIONS_TERMINATED, GAUGE, "sessions", "Terminated") \
	X(SUBSCRIPTIONS, GAUGE, "sipd", "Subscriptions") \
	X(DIALOGS, GAUGE, "sipd", "Dialogs") \
	X(REJECTIONS, EVENT, "sipd", "Rejections") \
	X(REINVITES, EVENT, "sipd", "ReINVITEs") \
	X(MEDIA_SESSIONS, GAUGE, "sipd", "Media Sessions") \
	X(CLIENT_TRANS, GAUGE, "sipd", "Client Trans") \
	X(SERVER_TRANS, GAUGE, "sipd", "Server Trans") \
	X(SOCKETS, GAUGE, "sipd", "Sockets") \
	X(REQ_DROPPED, EVENT, "sipd", "Req Dropped") \
	X(DNS_TRANS, GAUGE, "sipd", "DNS Trans") \
	X(CLIENT_INVITE, GAUGE, "transactions", "Client INVITE") \
	X(CLIENT_OTHER, GAUGE, "transactions", "Client Other") \
	X(SERVER_INVITE, GAUGE, "transactions", "Server INVITE") \
	X(SERVER_OTHER, GAUGE, "transactions", "Server Other") \
	X(RETRANS_SENT, EVENT, "transactions", "Retransmissions Sent") \
	X(RETRANS_RECEIVED, EVENT, "transactions", "Retransmissions Received") \
	X(TIMEOUTS, EVENT, "transactions", "Timeouts") \
	X(MERGED, EVENT, "transactions", "Merged Requests") \
	X(LARGE_BY_TCP, EVENT, "transactions", "Large By TCP") \
	X(LARGE_BY_UDP, EVENT, "transactions", "Large Back To UDP") \
	X(INVALID_REQUESTS, EVENT, "errors", "Invalid Requests") \
	X(INVALID_RESPONSES, EVENT, "errors", "Invalid Responses") \
	X(INVALID_MESSAGES, EVENT, "errors", "Invalid Messages") \
	X(EXCESS_BYTES, EVENT, "errors", "Bytes Beyond Content-Length") \
	X(SDP_OFFER_ERRORS, EVENT, "errors", "SDP Offer Errors") \
	X(SDP_ANSWER_ERRORS, EVENT, "errors", "SDP Answer Errors") \
	X(MEDIA_EXP_EVENTS, EVENT, "errors", "Media Exp Events") \
	X(EXPIRED_SESSIONS, EVENT, "errors", "Expired Sessions") \
	X(MULTIPLE_OK_DROPS, EVENT, "errors", "Multiple OK Drops") \
	X(MULTIPLE_OK_TERMS, EVENT, "errors", "Multiple OK Terms") \
	X(NON_ACK_2XX_DROPS, EVENT, "errors", "Non-ACK 2xx Drops") \
	X(CAC_SESSION_DROP, EVENT, "errors", "CAC Session Drop") \
	X(OVERLOAD_REJECTS, EVENT, "errors", "Overload Rejects") \
	X(CALL_REJECTS, EVENT, "errors", "Call Rejects") \
	X(POLICY_LOOKUPS, EVENT, "policy", "Lookups") \
	X(POLICY_HITS, EVENT, "policy", "Hits") \
	X(POLICY_MISSES, EVENT, "policy", "Misses") \
	X(POLICY_ROUTES, EVENT, "policy", "Routes Returned") \
	X(POLICY_SKIPPED_OOS, EVENT, "policy", "Skipped Out Of Service") \
	X(POLICY_SKIPPED_CONSTRAINT, EVENT, "policy", "Skipped Constraint") \
	X(POLICY_HOP_FAILURES, EVENT, "policy", "Next Hop Failures") \
	X(POLICY_LOOPS, EVENT, "policy", "Lookup Loops") \
	X(CHALLENGES, EVENT, "authentication", "Challenges") \
	X(ANSWERED_REGISTER, EVENT, "authentication", "Answered Register") \
	X(ANSWERED_POLICY, EVENT, "authentication", "Answered Policy") \
	X(ANSWERED_SURROGATE, EVENT, "authentication", "Answered Surrogate") \
	X(ANSWERED_EGRESS, EVENT, "authentication", "Answered Egress Agent") \
	X(ANSWERED_INGRESS, EVENT, "authentication", "Answered Ingress Agent") \
	X(PASSED_THROUGH, EVENT, "authentication", "Passed Through") \
	X(FAILED_NO_ENTRY, EVENT, "authentication", "Failed No Entry") \
	X(REFUSED_TWICE, EVENT, "authentication", "Refused Twice") \
	X(STALE_RETRIES, EVENT, "authentication", "Stale Retries") \
	X(NEXT_NONCES, EVENT, "authentication", "Next Nonces") \
	X(PREEMPTIVE_SENT, EVENT, "authentication", "Pre-emptive Sent") \
	X(PREEMPTIVE_CHALLENGED, EVENT, "authentication", "Pre-emptive Challenged") \
	X(NONCE_ONCE_TARGETS, EVENT, "authentication", "Nonce Once Targets") \
	X(RSPAUTH_WRONG, EVENT, "authentication", "Wrong Rspauth") \
	X(CACHE_HITS, EVENT, "authentication", "Cache Hits") \
	X(CACHE_MISSES, EVENT, "authentication", "Cache Misses") \
	X(SURROGATE_REGS, GAUGE, "registration", "Surrogate Regs") \
	X(SURROGATE_SENT, EVENT, "registration", "Surrogate Sent") \
	X(SURROGATE_REJECT, EVENT, "registration", "Surrogate Reject") \
	X(SURROGATE_TIMEOUT, EVENT, "registration", "Surrogate Timeout") \
	X(LOCAL_CONTACTS, GAUGE, "registration", "Local Contacts") \
	X(USER_ENTRIES, GAUGE, "registration", "User Entries") \
	X(MEDIA_FLOWS, GAUGE, "media", "Flows") \
	X(MEDIA_LATCHED, GAUGE, "media", "Latched") \
	X(MEDIA_USED_PORTS, GAUGE, "media", "Used Ports") \
	X(MEDIA_STRANGERS, EVENT, "media", "Packets From Strangers") \
	X(MEDIA_NO_PORTS, EVENT, "media-errors", "No Ports") \
	X(MEDIA_NO_BANDWIDTH, EVENT, "media-errors", "Insufficient Bandwidth") \
	X(REFUSED_CHECK_MESSAGE, EVENT, "refusals", "check-message") \
	X(REFUSED_ADMIT_SOURCE, EVENT, "refusals", "admit-source") \
	X(REFUSED_NAME_SOURCE, EVENT, "refusals", "name-source") \
	X(REFUSED_TAKE_CAPACITY, EVENT, "refusals", "take-capacity") \
	X(REFUSED_EDIT_INBOUND, EVENT, "refusals", "edit-inbound") \
	X(REFUSED_CHOOSE_ROUTE, EVENT, "refusals", "choose-route") \
	X(REFUSED_PLACE_CALL, EVENT, "refusals", "place-call") \
	X(REFUSED_AUTHENTICATE, EVENT, "refusals", "authenticate")
/* clang-format on */

enum counter {
#define X(id, kind, table, name) COUNT_##id,
	COUNTERS(X)
#undef X
	COUNTS
};

struct counter_report {
	const char *table, *name;
	int64_t active; /* gauges */
	uint64_t period_high, recent, total, permax, high;
	bool is_gauge;
};

/** Count n events on the calling thread. The first call of a thread makes its
 *  block; blocks live as long as the process */
void count(enum counter c, uint32_t n);

/** Move a gauge, from any thread; a rise counts as as many events */
void gauge(enum counter c, int32_t by);

/** Sum over all threads, at this moment [ms, monotonic]. The periods of 100 s
 *  begin with the first count or read of the process */
void counter_read(enum counter c, uint64_t now, struct counter_report *out);

/** Number of the present period, from 1 on, as of the last count or read */
uint32_t counters_period(void);

/** Width of Recent of a table [s], since its last reset at most; and of the
 *  process, since the last reset of all */
uint32_t counters_window_of(const char *table, uint64_t now);
uint32_t counters_window(uint64_t now);

/** Counts of a table (NULL: of all) to 0, each High to the value now */
void counters_reset(const char *table, uint64_t now);
