/*
 * Arguments of a test command: on its line, or one by one in a mode of its own
 *
 * They are parameters like those of an element, with kinds, help and names that
 * exist, and are stored nowhere (acli.md 2.5). `show` runs what was set.
 */
#pragma once

#include "policy/plan.h"
#include "cli/control.h"
#include "cli/places.h"

/** Which configuration is asked */
enum form_config {
	FORM_RUNNING,
	FORM_EDITING,
	FORM_SAVED
};

/** What was set; of each command its own part. Texts are "" where nothing was */
struct wishes {
	uint8_t config;
	char *source_realm, *from_address, *to_address;
	struct sa source_address; /* unset: none */
	struct names method;      /* one */
	char *time_of_day;        /* HHMM */
	struct names carriers;
	char *media_profile, *auth_realm, *challenge;
	char *surrogate_agent; /* its key */
	char *aor;             /* user */
};

extern const struct element form_policy, form_credentials, form_surrogate;

/** Runs the command: all that it needs is set. The wishes stay the caller's */
typedef void(form_h)(struct session *s, const struct wishes *wishes);

/** Arguments of a command by its words; NULL: it has none of this kind */
const struct element *form_type(const char *command);

/**
 * Begin a test command
 *
 * @param s     Session
 * @param type  form_policy, form_credentials, form_surrogate
 * @param w     Words of the line; without any behind the command its mode begins
 * @param at    First behind the command
 * @param h     Runs it, now or at each `show`
 */
void form_line(struct session *s, const struct element *type,
	       const struct words *w, uint32_t at, form_h *h);

/**
 * The plan of the configuration that is asked; on the job thread
 *
 * Of one that does not run only when verify finds no ERROR in it.
 *
 * @param planp  Set to the plan; plan_give
 *
 * @return 0; ECANCELED the reply of the task says why; errno of the database
 */
int form_plan(const struct plan **planp, struct task *task,
	      const struct wishes *wishes);

/** Add what may stand behind the n words behind the command; names that exist are
 *  those of cfg, NULL: none */
void form_arguments(struct choices *c, const struct element *type,
		    char *const *words, uint32_t n, const struct config *cfg);

/** Add the next part of a value of a parameter whose first n parts these are */
void form_values(struct choices *c, const struct field *f, char *const *words,
		 uint32_t n, const struct config *cfg);

/** Its mode: words, and what they do. `rest` is what stands behind the word */
const struct element *form_here(const struct session *s); /* NULL: no mode */
const void *form_item(const struct session *s);
void form_run(struct session *s, const struct choice *choice,
	      const struct pl *rest);

/** Leave the mode; without one nothing happens */
void form_close(struct session *s);
