/*
 * import-credentials: rows of a CSV file into the credential table
 */
#pragma once

#include "cli/control.h"

/** import-credentials FILE realm R [replace|merge], or FILE surrogate-agent
 *  KEY... : asks the client for the file (acli.md 1.8) */
void import_credentials(struct session *s, const struct words *w, uint32_t at);
