/*
 * Completion and help: what may follow what is typed
 *
 * The client sends the line with a tab at its end, or a question mark, when one of
 * these keys is pressed. A tab is answered by the words that fit, a question mark
 * by lines for people (acli.md 1.5).
 */
#pragma once

#include "cli/session.h"

/** Does the line ask for completion or for help? A question mark inside quotes
 *  does not */
bool complete_is_asked(const char *line);

/** Answer such a line; its last byte is the key */
void complete_run(struct session *s, const char *line);
