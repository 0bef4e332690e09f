/*
 * Control socket; one session per connection
 */
#pragma once

#include "cli/control.h"

struct server;

/**
 * Take the control socket: who connects waits until server_serve
 *
 * A socket that a dead daemon left behind is replaced.
 *
 * @param path  Of the socket: stream, mode 0660
 *
 * @return 0; EADDRINUSE a daemon lives there; errno of the socket
 */
int server_open(struct server **sp, const char *path);

/** Serve sessions from now on, on the loop of the calling thread. 0; errno of
 *  the loop */
int server_serve(struct server *s, struct control *control);

/** End all sessions with a notice, close and remove the socket */
void server_close(struct server *s);
