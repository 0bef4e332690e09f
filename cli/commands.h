/*
 * The table of all commands: match, abbreviate, help
 */
#pragma once

#include "cli/session.h"

/**
 * Run one line in a session; the answer begins in s->reply
 *
 * @param s     Session
 * @param line  Ended by zero; changed
 */
void commands_run(struct session *s, char *line);

/** End the answer in s->reply with a prompt, when nothing more comes of it */
void commands_end(struct session *s);
