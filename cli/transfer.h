/*
 * import-config and export-config
 *
 * Files are opened by the client with the rights of the operator, never by the
 * daemon (acli.md 1.1).
 */
#pragma once

#include "cli/control.h"

void import_config(struct session *s, const struct words *w, uint32_t at);
void export_config(struct session *s, const struct words *w, uint32_t at);
