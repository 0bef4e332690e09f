/*
 * The shell without a daemon: a database and a session, in a process of its own
 *
 * acli --offline speaks to it over a socket as it would to the daemon.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct offline {
	int fd; /* of the session */
	pid_t child;
};

/**
 * Open a database for one session
 *
 * Another process that has the database leaves it for reading only, and the
 * session is told so.
 *
 * @param o     Set
 * @param path  Database; it must be there
 * @param why   Set to one clear line on error
 * @param size  Its room
 *
 * @return 0; errno
 */
int offline_open(struct offline *o, const char *path, char *why, size_t size);

/** Close the session and wait until the database is closed; one that was never
 *  opened is fine */
void offline_close(struct offline *o);
