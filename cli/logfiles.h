/*
 * Log files: listed, their last lines, and what is written next
 */
#pragma once

#include "cli/session.h"

/** display-logfiles */
void display_logfiles(struct session *s, const struct words *w, uint32_t at);
/** show logfile NAME [last N] [follow] */
void show_logfile(struct session *s, const struct words *w, uint32_t at);
/** The last lines of a log file, as lines or as an array of texts; digest responses
 *  are masked. 0; errno of the file */
int logfile_say(struct session *s, const char *name, uint32_t lines);
