/*
 * Alarms of credentials, ended by a change of these
 *
 * Whoever mends what an alarm complains of need not wait for the next call that
 * proves it (acli.md 5.1); what is still wrong is raised again by that call.
 */
#pragma once

#include "store/config.h"

/**
 * Another configuration is in force
 *
 * auth-lookup-missing ends when the realm has an entry for the look-up and did
 * change; auth-credentials-refused when the entry or the surrogate-agent that
 * they are of is another one, or gone. Any thread.
 */
void amends_of_change(const struct config *now, const struct config *before);

/** Rows were imported: of this realm; NULL: of single AoRs of an agent. Any
 *  thread */
void amends_of_import(const char *realm);
