/*
 * reboot: an orderly restart, of the saved configuration if that is wanted
 */
#pragma once

#include "cli/session.h"

/** reboot [activate] [force] */
void reboot(struct session *s, const struct words *w, uint32_t at);
