/*
 * Statistics: tables of gauges and events, and reset
 *
 * What the numbers mean: acli.md 2.2.
 */
#pragma once

#include "policy/message.h"
#include "cli/session.h"

/** First line of each table of a session: local time, width of Recent [s] */
void statistics_head(struct session *s, const char *table);

/** show sipd [status | sessions | transactions | errors | policy |
 *  authentication]; true: it was one of them */
bool statistics_sipd(struct session *s, const char *word);

enum method_scope {
	METHODS_OF_ALL,
	METHODS_OF_INTERFACE,
	METHODS_OF_AGENT,
	METHODS_OF_REALM
};

/** show sipd METHOD; name: of the sip-interface, session-agent or realm, which is
 *  there */
void statistics_method(struct session *s, enum method_id method,
		       enum method_scope scope, const char *name);

/** show registration */
void statistics_registration(struct session *s);
/** show refusals: what the SBC itself refused, by step */
void show_refusals(struct session *s, const struct words *w, uint32_t at);
/** show media; show media errors */
void statistics_media(struct session *s, bool errors);
/** reset all | sipd | registration | authentication | policy | media | refusals |
 *  dns */
void reset(struct session *s, const struct words *w, uint32_t at);
