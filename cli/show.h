/*
 * The show commands: each calls a printer and lays out what it gives
 */
#pragma once

#include "cli/session.h"

/** show registration: gauge table (acli.md 2.3); words behind the command */
void show_registration(struct session *s, const struct words *w, uint32_t at);
/** show surrogate-agents: a line for each AoR, and a total */
void show_surrogate_agents(struct session *s, const struct words *w,
			   uint32_t at);
/** show sessions [ID] */
void show_sessions(struct session *s, const struct words *w, uint32_t at);
/** show sipd [agents | policy | authentication | errors | transactions] */
void show_sipd(struct session *s, const struct words *w, uint32_t at);
/** show refusals: what the SBC itself refused, by step */
void show_refusals(struct session *s, const struct words *w, uint32_t at);
/** show media */
void show_media(struct session *s, const struct words *w, uint32_t at);
/** show alarms [history] */
void show_alarms(struct session *s, const struct words *w, uint32_t at);
/** show version */
void show_version(struct session *s, const struct words *w, uint32_t at);
/** show running-config [ELEMENT [KEY]]: ACLI text, secrets masked */
void show_running_config(struct session *s, const struct words *w, uint32_t at);
/** show records [N]: the newest call records, one line each */
void show_records(struct session *s, const struct words *w, uint32_t at);
