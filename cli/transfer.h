/*
 * import-config and export-config
 *
 * Files are opened by the client with the rights of the operator, never by the
 * daemon (acli.md 1.1).
 */
#pragma once

#include "cli/control.h"

/** import-config FILE [replace|merge]: asks the client for the file */
void import_config(struct session *s, const struct words *w, uint32_t at);
/** export-config [FILE] [saved|running|editing] [yaml|text], secrets masked */
void export_config(struct session *s, const struct words *w, uint32_t at);
