/*
 * The client's side of the control socket: lines, files
 *
 * Files are opened here, with the rights of the operator, never by the daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "cli/client.h"

enum {
	FILE_BYTES = 256 << 20 /* the largest file that is sent */
};

int client_connect(struct client *c, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(at.sun_path))
		return ENAMETOOLONG;
	strcpy(at.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return errno;
	return connect(c->fd, (struct sockaddr *)&at, sizeof(at)) ? errno : 0;
}

int client_bytes(struct client *c, const char *p, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t sent = send(c->fd, p + at, n - at, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return errno;
		if (sent > 0)
			at += (size_t)sent;
	}
	return 0;
}

int client_line(struct client *c, const char *line)
{
	char buf[CLIENT_LINE];
	size_t n = strcspn(line, "\r\n");
	int err;

	if (n > sizeof(buf) - 1)
		return E2BIG;
	memcpy(buf, line, n);
	buf[n++] = '\n';
	err = client_bytes(c, buf, n);
	explicit_bzero(buf, sizeof(buf));
	return err;
}

/* Wait for more bytes of the daemon, behind those that are there */
static int bytes_wait(struct client *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	ssize_t n;

	if (c->len == sizeof(c->buf))
		return EPROTO;
	switch (poll(&pfd, 1, c->timeout * 1000)) {

	case 0:
		return ETIMEDOUT;
	case -1:
		/* Ctrl-C: the caller sees */
		return errno == EINTR && !c->breaks ? 0 : errno;
	default:
		break;
	}
	n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	if (n == 0)
		return ECONNRESET;
	if (n > 0)
		c->len += (size_t)n;
	return n < 0 && errno != EINTR ? errno : 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

bool client_has_line(const struct client *c)
{
	return memchr(c->buf, '\n', c->len) != NULL;
}

int client_poll(struct client *c)
{
	return bytes_wait(c);
}

static void bytes_drop(struct client *c, size_t n)
{
	c->len -= n;
	memmove(c->buf, c->buf + n, c->len);
}

/* Next whole line of the daemon, without its end. 0; errno */
int client_receive(struct client *c, char line[CLIENT_LINE])
{
	for (;;) {
		char *end = memchr(c->buf, '\n', c->len);
		int err;

		if (end) {
			size_t len = (size_t)(end - c->buf);
			size_t copy = len < CLIENT_LINE ? len : CLIENT_LINE - 1;

			memcpy(line, c->buf, copy);
			line[copy] = '\0';
			bytes_drop(c, len + 1);
			return 0;
		}
		err = bytes_wait(c);
		if (err)
			return err;
	}
}

/* --- Files: with the rights of the operator ----------------------------- */

static int file_read(char **textp, size_t *np, const char *name)
{
	FILE *f = fopen(name, "re");
	struct stat st;
	char *text = NULL;
	size_t n = 0;
	int err = 0;

	if (!f || fstat(fileno(f), &st))
		err = errno;
	else if (S_ISDIR(st.st_mode))
		err = EISDIR;
	else if (st.st_size > FILE_BYTES)
		err = EFBIG;
	if (!err && !(text = malloc((size_t)st.st_size + 1)))
		err = ENOMEM;
	if (!err) {
		n = fread(text, 1, (size_t)st.st_size, f);
		err = ferror(f) ? EIO : 0;
	}
	if (f)
		fclose(f);
	if (err) {
		free(text);
		return err;
	}
	*textp = text;
	*np = n;
	return 0;
}

/* Its length in a line, then its bytes; "-" where there is none */
int client_send_file(struct client *c, const char *name, bool *failed)
{
	char *text = NULL, head[32];
	size_t n = 0;
	int err = file_read(&text, &n, name);

	if (err) {
		fprintf(stderr, "acli: %s: %s\n", name, strerror(err));
		*failed = true;
		return client_line(c, "-");
	}
	snprintf(head, sizeof(head), "%zu", n);
	err = client_line(c, head);
	if (!err)
		err = client_bytes(c, text, n);
	explicit_bzero(text, n);
	free(text);
	return err;
}

/* "LENGTH NAME", then the bytes. A file that cannot be written is read to its
 * end all the same */
int client_take_file(struct client *c, const char *what, bool *failed)
{
	char *name;
	size_t left = strtoull(what, &name, 10);
	FILE *f;
	int fd;

	if (*name++ != ' ')
		return EPROTO;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	while (left) {
		size_t n = c->len < left ? c->len : left;
		int err = n ? 0 : bytes_wait(c);

		if (err)
			return err;
		if (f && fwrite(c->buf, 1, n, f) != n)
			*failed = true;
		bytes_drop(c, n);
		left -= n;
	}
	if (!f || fclose(f))
		*failed = true;
	if (*failed)
		fprintf(stderr, "acli: %s: %s\n", name, strerror(errno));
	return 0;
}
