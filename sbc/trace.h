/*
 * Copies of SIP messages to sipmsg.log and pcap files, and the steps of a call
 *
 * Form: acli.md 5.2, 2.6. Off, it costs a load for each message. On, a message is
 * copied into a buffer; a thread of its own masks, formats and writes. It also
 * remembers which message came and went when, without its content: the ladder of
 * a call (cli/ladder).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

enum trace_mode {
	TRACE_OFF,
	TRACE_MASKED, /* digest responses as asterisks */
	TRACE_FULL
};

/** Where sipmsg.log lies: the folder of sbc.log, made when it is first written.
 *  Before it, tracing is refused */
void trace_folder(const char *path);

/** Begin, change or end. 0; ENOENT no folder; errno of file and thread. Front
 *  thread */
int trace_set(enum trace_mode mode);
enum trace_mode trace_mode(void);

/**
 * Write messages to a pcap file in the folder of sipmsg.log, instead of what was
 * captured before
 *
 * @param name  File; NULL: no more
 * @param only  Address of one of the two ends; NULL: all messages
 *
 * @return 0; ENOENT no folder; EINVAL a path and no name; errno of file and thread
 */
int trace_capture(const char *name, const struct sa *only);
bool trace_is_capturing(void);

/** Open sipmsg.log anew (SIGHUP, rotate-logs) */
void trace_reopen(void);

/** End the thread; what was copied is written */
void trace_close(void);

extern atomic_bool trace_wanted; /* by trace_set */

static inline bool trace_is_on(void)
{
	return atomic_load_explicit(&trace_wanted, memory_order_relaxed);
}

struct trace_message {
	const char *realm;
	const struct sa *local, *peer;
	uint8_t transport; /* enum transport */
	bool out;
	struct pl bytes;
};

/** Copy a message; call it where trace_is_on. What finds no room is counted, and
 *  the count written */
void trace_message(const struct trace_message *m);

/** Digest responses of a message or of one of its lines become asterisks of the same
 *  number, in place */
void trace_mask(char *p, size_t n);

/** One message of the past */
struct trace_step {
	uint64_t wall; /* [ms] */
	struct sa peer;
	char realm[32];
	char what[48];   /* "INVITE", "407 Proxy Authentication Required" */
	char method[16]; /* of CSeq */
	uint32_t cseq;
	uint8_t transport;
	bool out;
};
typedef void(trace_h)(const struct trace_step *step, const char *callid,
		      void *arg);

/** Walk what is remembered of these Call-IDs, in order of time; callids ended by
 *  NULL, at most eight. Any thread */
void trace_walk(const char *const *callids, trace_h *h, void *arg);
