/*
 * Verify, save, compare, discard and activate configurations
 *
 * acli.md 1.7 and 3. Each is a list of steps, on the job thread but for what
 * touches the SBC.
 */
#pragma once

#include "cli/check.h"

/** An activation (architecture.md 4) */
struct activation {
	struct control *control;
	struct session *session; /* whose task it is; NULL: nobody's */
	uint32_t version;        /* 0: the newest saved one */
	bool returns;   /* it ran before: neither rules nor differences */
	uint64_t until; /* it runs on trial to this moment [wall s]; or 0 */
	/** On the front thread: it runs, and which one ran before; or it failed */
	void (*ran)(const struct activation *a, uint32_t before);
	struct reply *said; /* set for ran: more may be said */
	void (*failed)(const struct activation *a);
};

/** Begin; says what came of it. 0; with no session: EBUSY, ENOMEM, ESHUTDOWN */
int activation_begin(const struct activation *a);

/** The commands of acli.md 1.7 */
void save_config(struct session *s, const struct words *w, uint32_t at);
void discard(struct session *s, const struct words *w, uint32_t at);
void show_configuration(struct session *s, const struct words *w, uint32_t at);
void display_current(struct session *s, const struct words *w, uint32_t at);
void display_running(struct session *s, const struct words *w, uint32_t at);
