/*
 * Control socket; one session per connection
 */
#pragma once

#include "store/database.h"
#include "store/seal.h"
#include "sbc/sbc.h"

struct server;

struct server_setup {
	const char *path; /* of the socket: stream, mode 0660 */
	struct sbc *sbc;
	struct database *db;
	const struct seal *seal;
};

/**
 * Listen on the control socket, on the loop of the calling thread
 *
 * A socket that a dead daemon left behind is replaced.
 *
 * @return 0; EADDRINUSE a daemon lives there; errno of the socket
 */
int server_open(struct server **sp, const struct server_setup *setup);

/** End all sessions with a notice, close and remove the socket */
void server_close(struct server *s);
