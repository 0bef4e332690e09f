/*
 * Counters and gauges per thread, summed when read
 *
 * What the numbers mean: acli.md 2.2. Periods of 100 s of the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
/* X(id, "table", "row as shown") */
#define COUNTERS(X) \
	X(SESSIONS, "sipd", "Sessions") \
	X(SESSIONS_INITIAL, "sessions", "Initial") \
	X(SESSIONS_EARLY, "sessions", "Early") \
	X(SESSIONS_ESTABLISHED, "sessions", "Established") \
	X(SESSIONS_TERMINATED, "sessions", "Terminated") \
	X(DIALOGS, "sipd", "Dialogs") \
	X(REJECTIONS, "sipd", "Rejections") \
	X(REINVITES, "sipd", "ReINVITEs") \
	X(MEDIA_SESSIONS, "sipd", "Media Sessions") \
	X(CLIENT_TRANS, "sipd", "Client Trans") \
	X(SERVER_TRANS, "sipd", "Server Trans") \
	X(SOCKETS, "sipd", "Sockets") \
	X(REQ_DROPPED, "sipd", "Req Dropped") \
	X(DNS_TRANS, "sipd", "DNS Trans") \
	X(CLIENT_INVITE, "transactions", "Client INVITE") \
	X(CLIENT_OTHER, "transactions", "Client Other") \
	X(SERVER_INVITE, "transactions", "Server INVITE") \
	X(SERVER_OTHER, "transactions", "Server Other") \
	X(RETRANS_SENT, "transactions", "Retransmissions Sent") \
	X(RETRANS_RECEIVED, "transactions", "Retransmissions Received") \
	X(TIMEOUTS, "transactions", "Timeouts") \
	X(MERGED, "transactions", "Merged Requests") \
	X(INVALID_REQUESTS, "errors", "Invalid Requests") \
	X(INVALID_RESPONSES, "errors", "Invalid Responses") \
	X(INVALID_MESSAGES, "errors", "Invalid Messages") \
	X(EXCESS_BYTES, "errors", "Bytes Beyond Content-Length") \
	X(SDP_OFFER_ERRORS, "errors", "SDP Offer Errors") \
	X(SDP_ANSWER_ERRORS, "errors", "SDP Answer Errors") \
	X(MEDIA_EXP_EVENTS, "errors", "Media Exp Events") \
	X(EXPIRED_SESSIONS, "errors", "Expired Sessions") \
	X(MULTIPLE_OK_DROPS, "errors", "Multiple OK Drops") \
	X(MULTIPLE_OK_TERMS, "errors", "Multiple OK Terms") \
	X(NON_ACK_2XX_DROPS, "errors", "Non-ACK 2xx Drops") \
	X(CAC_SESSION_DROP, "errors", "CAC Session Drop") \
	X(CALL_REJECTS, "errors", "Call Rejects") \
	X(POLICY_LOOKUPS, "policy", "Lookups") \
	X(POLICY_HITS, "policy", "Hits") \
	X(POLICY_MISSES, "policy", "Misses") \
	X(POLICY_ROUTES, "policy", "Routes Returned") \
	X(POLICY_SKIPPED_OOS, "policy", "Skipped Out Of Service") \
	X(POLICY_SKIPPED_CONSTRAINT, "policy", "Skipped Constraint") \
	X(POLICY_HOP_FAILURES, "policy", "Next Hop Failures") \
	X(CHALLENGES, "authentication", "Challenges") \
	X(ANSWERED_REGISTER, "authentication", "Answered Register") \
	X(ANSWERED_POLICY, "authentication", "Answered Policy") \
	X(ANSWERED_SURROGATE, "authentication", "Answered Surrogate") \
	X(ANSWERED_EGRESS, "authentication", "Answered Egress Agent") \
	X(ANSWERED_INGRESS, "authentication", "Answered Ingress Agent") \
	X(PASSED_THROUGH, "authentication", "Passed Through") \
	X(FAILED_NO_ENTRY, "authentication", "Failed No Entry") \
	X(REFUSED_TWICE, "authentication", "Refused Twice") \
	X(STALE_RETRIES, "authentication", "Stale Retries") \
	X(NEXT_NONCES, "authentication", "Next Nonces") \
	X(PREEMPTIVE_SENT, "authentication", "Pre-emptive Sent") \
	X(PREEMPTIVE_CHALLENGED, "authentication", "Pre-emptive Challenged") \
	X(CACHE_HITS, "authentication", "Cache Hits") \
	X(CACHE_MISSES, "authentication", "Cache Misses") \
	X(SURROGATE_REGS, "registration", "Surrogate Regs") \
	X(SURROGATE_SENT, "registration", "Surrogate Sent") \
	X(SURROGATE_REJECT, "registration", "Surrogate Reject") \
	X(SURROGATE_TIMEOUT, "registration", "Surrogate Timeout") \
	X(LOCAL_CONTACTS, "registration", "Local Contacts") \
	X(USER_ENTRIES, "registration", "User Entries") \
	X(MEDIA_FLOWS, "media", "Flows") \
	X(MEDIA_LATCHED, "media", "Latched") \
	X(MEDIA_USED_PORTS, "media", "Used Ports") \
	X(MEDIA_STRANGERS, "media", "Packets From Strangers") \
	X(REFUSED_CHECK_MESSAGE, "refusals", "check-message") \
	X(REFUSED_ADMIT_SOURCE, "refusals", "admit-source") \
	X(REFUSED_NAME_SOURCE, "refusals", "name-source") \
	X(REFUSED_TAKE_CAPACITY, "refusals", "take-capacity") \
	X(REFUSED_EDIT_INBOUND, "refusals", "edit-inbound") \
	X(REFUSED_CHOOSE_ROUTE, "refusals", "choose-route") \
	X(REFUSED_PLACE_CALL, "refusals", "place-call") \
	X(REFUSED_AUTHENTICATE, "refusals", "authenticate")
/* clang-format on */

enum counter {
#define X(id, table, name) COUNT_##id,
	COUNTERS(X)
#undef X
	COUNTS
};

struct counter_report {
	const char *table, *name;
	int64_t active;             /* gauges */
	uint64_t period_high, recent, total, permax, high;
	bool is_gauge;
};

/** Count n events on the calling thread. The first call of a thread makes its
 *  block; blocks live as long as the process */
void count(enum counter c, uint32_t n);

/** Move a gauge; a rise counts as an event */
void gauge(enum counter c, int32_t by);

/** Sum over all threads, at this moment [ms, monotonic] */
void counter_read(enum counter c, uint64_t now, struct counter_report *out);

/** Width of Recent [s]; counts back to 0 */
uint32_t counters_window(uint64_t now);
void counters_reset(const char *table, uint64_t now);
