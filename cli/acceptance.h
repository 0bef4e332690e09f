/*
 * A version that runs on trial: accept it, or the one before returns
 *
 * acli.md 1.7. The deadline is in the database: whatever ends the daemon
 * meanwhile, the next start begins with the former version.
 */
#pragma once

#include "cli/control.h"

/** activate-config [confirm MINUTES|accept|rollback] */
void activate_config(struct session *s, const struct words *w, uint32_t at);

/**
 * Before anything runs: take a version back that nobody accepted
 *
 * @param db        Database
 * @param versionp  Set to the version that is given up, 0: there is none
 *
 * @return 0; errno of the database
 */
int acceptance_settle(struct database *db, uint32_t *versionp);

/** Say so, once logs and alarms work */
void acceptance_tell(uint32_t version, uint32_t former, const char *why);
