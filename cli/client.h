/*
 * The client's side of the control socket: lines, files
 *
 * acli.md 1.1. Belongs to acli alone; knows nothing of what the lines mean.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	CLIENT_LINE = 8192 + 16
};

struct client {
	int fd;
	int timeout;     /* longest silence [s] */
	bool breaks;     /* a signal ends the wait for a line: EINTR */
	char buf[16384]; /* bytes of the daemon that are no whole line yet */
	size_t len;
};

/** Connect to the daemon's socket. 0; ENAMETOOLONG; errno of connect */
int client_connect(struct client *c, const char *path);

/** Close; a closed one is fine */
void client_close(struct client *c);

/** Send a line, its end added. 0; E2BIG; errno of the connection */
int client_line(struct client *c, const char *line);

/** Send bytes. 0; errno of the connection */
int client_bytes(struct client *c, const char *p, size_t n);

/** Next whole line of the daemon, without its end. 0; ETIMEDOUT; ECONNRESET it
 *  went; EPROTO no such line; EINTR; errno */
int client_receive(struct client *c, char line[CLIENT_LINE]);

/** Is a whole line there already? */
bool client_has_line(const struct client *c);

/** Wait for some bytes of the daemon. 0, also after a signal; errno as of
 *  client_receive */
int client_poll(struct client *c);

/** Send a file: its length in a line, then its bytes; "-" where it cannot be read,
 *  and *failed is set. 0; errno of the connection */
int client_send_file(struct client *c, const char *name, bool *failed);

/** Take a file, "LENGTH NAME" and then the bytes, mode 0600. One that cannot be
 *  written is read to its end all the same, and *failed is set. 0; errno */
int client_take_file(struct client *c, const char *what, bool *failed);
