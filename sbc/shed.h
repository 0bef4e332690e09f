/*
 * How busy and how late a thread is, and which new requests it refuses therefore
 *
 * Behaviour.md 1.5. Looked at with each new request, so an idle thread is never
 * woken for it. Over the limit for a window of time the share that is refused
 * grows, first that of strangers until it is all of them, then that of the
 * others; below it the share falls the same way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	SHED_WINDOW = 250, /* looked back over [ms] */
	SHED_LEAST = 4,    /* messages that tell how long all wait */
	SHED_LATE = 200    /* what all messages waited at least [ms] */
};

struct shed;

/** Begin on this thread; load-limit of sip-config [%], 0: load does not count.
 *  mem_deref ends. 0; ENOMEM */
int shed_alloc(struct shed **sp, uint32_t load_limit);

/** Another load-limit, from now on */
void shed_change(struct shed *s, uint32_t load_limit);

/** Waits that cannot be told, as those on a connection */
#define SHED_UNKNOWN UINT32_MAX

/**
 * A new request came
 *
 * @param s     Shed
 * @param wait  How long it waited to be read [ms], or SHED_UNKNOWN
 *
 * @return True if the thread is overloaded: shed_refuses decides about it
 */
bool shed_look(struct shed *s, uint32_t wait);

/** Is this one of those that are refused now? */
bool shed_refuses(struct shed *s, bool is_stranger);

/** Memory is critical, or not any more: from any thread, for all of them */
void shed_memory(bool is_critical);
bool shed_memory_is_critical(void);

/** What the last window was: load [%], least wait [ms]; shares that are refused
 *  now [per mille] */
struct shed_report {
	uint32_t load, wait, strangers, others;
};
void shed_report(const struct shed *s, struct shed_report *out);
