/*
 * verify-config: rules over a configuration, the findings into an answer
 */
#pragma once

#include "store/verify.h"
#include "cli/control.h"

/** Rules over a configuration, the findings into the reply; on the job thread.
 *  file: its source, or NULL: the database. only_total: findings are left out,
 *  and DNS, which finds no ERROR, is not asked. 0; ENOMEM */
int verify_say(struct task *task, const struct config *cfg, const char *file,
	       bool only_total, bool detail, uint32_t *errorsp);

/** The same; *totals is set to what was found */
int verify_tell(struct task *task, const struct config *cfg, const char *file,
		bool only_total, bool detail, struct verify_totals *totals);

/** The same, and nothing is said */
int verify_count(struct task *task, const struct config *cfg,
		 struct verify_totals *totals);

/** verify-config [detail] [strict] [static] [rule ID] [element E]; fails when
 *  something counts (acli.md 3.3) */
void verify_config(struct session *s, const struct words *w, uint32_t at);
