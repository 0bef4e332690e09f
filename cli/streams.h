/*
 * show media: flows and ports, by realm, by session
 */
#pragma once

#include "cli/session.h"

/** show media [realms [NAME] | errors | sessions [ID]] */
void show_media(struct session *s, const struct words *w, uint32_t at);
