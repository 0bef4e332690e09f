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
 * @param path  Of the socket: stream, mode 0660; NULL: there is none, and the
 *              loop ends with the last session that server_join gave
 *
 * @return 0; EADDRINUSE a daemon lives there; errno of the socket
 */
int server_open(struct server **sp, const char *path);

/** Serve sessions from now on, on the loop of the calling thread. 0; errno of
 *  the loop */
int server_serve(struct server *s, struct control *control);

/** The socket belongs to the group that the running configuration names */
void server_follow(struct server *s);

/** Serve one session over a connected socket, which is taken over; it is told the
 *  notice first, or NULL. 0; ENOMEM; errno of the loop */
int server_join(struct server *s, int fd, const char *notice);

/** Walk the connections */
void server_walk(const struct server *s, session_report_h *h, void *arg);

/** Tell every connection, at once: a line of code 5001 */
void server_notice(struct server *s, const char *text);

/** End all sessions with a notice, close and remove the socket */
void server_close(struct server *s);
