/*
 * Control socket; one session per connection
 *
 * On the front thread's loop. A session that does not read its answers waits
 * alone: what it has not taken stays in its own buffer, and its next line is
 * not read before that is empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "store/log.h"
#include "cli/commands.h"
#include "cli/server.h"

struct server {
	struct server_setup setup;
	char *path;
	int fd;
	struct list links;
};

struct link {
	struct le le;
	struct server *server;
	struct session session;
	int fd;
	char line[LINE_MAX_BYTES + 1];
	size_t len;
	bool too_long;
	struct mbuf *out; /* written at its end */
	size_t sent;      /* of out, taken by the client */
};

static void link_close(struct link *link)
{
	list_unlink(&link->le);
	fd_close(link->fd);
	close(link->fd);
	mem_deref(link->out);
	mem_deref(link);
}

static void readable(int flags, void *arg);

/* Send what waits. False when the connection is gone */
static bool flush(struct link *link)
{
	struct mbuf *mb = link->out;

	while (link->sent < mb->end) {
		ssize_t n = send(link->fd, mb->buf + link->sent,
				 mb->end - link->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return !fd_listen(link->fd, FD_WRITE, readable, link);
		if (n < 0)
			return false;
		link->sent += (size_t)n;
	}
	mb->pos = mb->end = link->sent = 0;
	return !link->session.ends &&
	       !fd_listen(link->fd, FD_READ, readable, link);
}

static void answer(struct link *link)
{
	struct session *s = &link->session;

	if (reply_init(&s->reply))
		return;
	if (link->too_long)
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "The line is longer than %u bytes", LINE_MAX_BYTES);
	else
		commands_run(s, link->line);
	(void)mbuf_write_mem(link->out, s->reply.mb->buf, s->reply.mb->end);
	reply_finish(&s->reply);
	link->too_long = false;
}

/* One byte after the other into the line: operators type slowly, and the bound
 * is checked in one place */
static void take(struct link *link, const char *p, size_t n)
{
	for (; n--; p++) {
		if (*p != '\n') {
			if (link->len < LINE_MAX_BYTES && *p)
				link->line[link->len++] = *p;
			else
				link->too_long = true;
			continue;
		}
		link->line[link->len] = '\0';
		answer(link);
		explicit_bzero(link->line, sizeof(link->line));
		link->len = 0;
	}
}

static void readable(int flags, void *arg)
{
	struct link *link = arg;
	char buf[4096];
	ssize_t n;

	if (flags & FD_READ) {
		n = recv(link->fd, buf, sizeof(buf), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			link_close(link);
			return;
		}
		if (n > 0)
			take(link, buf, (size_t)n);
		explicit_bzero(buf, sizeof(buf));
	}
	if (!flush(link))
		link_close(link);
}

/* acli.md 4: the kernel tells who connects. root and the daemon's own user may
 * become superuser; the mode of the socket keeps others out */
static bool peer_may(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

static void connected(int flags, void *arg)
{
	struct server *server = arg;
	struct link *link;
	int fd;
	(void)flags;

	fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	link = mem_zalloc(sizeof(*link), NULL);
	if (link)
		link->out = mbuf_alloc(4096);
	if (!link || !link->out || fd_listen(fd, FD_READ, readable, link)) {
		if (link)
			mem_deref(link->out);
		mem_deref(link);
		close(fd);
		return;
	}

	link->fd = fd;
	link->server = server;
	link->session.sbc = server->setup.sbc;
	link->session.db = server->setup.db;
	link->session.seal = server->setup.seal;
	link->session.may_be_superuser = peer_may(fd);
	list_append(&server->links, &link->le, link);
}

/* A socket that answers belongs to a living daemon */
static bool is_alive(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive;

	if (fd < 0)
		return false;
	alive = !connect(fd, (const struct sockaddr *)at, sizeof(*at));
	close(fd);
	return alive;
}

static int listen_at(struct server *s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(s->path) >= sizeof(at.sun_path))
		return ENAMETOOLONG;
	strcpy(at.sun_path, s->path);
	if (is_alive(&at))
		return EADDRINUSE;
	(void)unlink(s->path);

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return errno;
	if (bind(s->fd, (struct sockaddr *)&at, sizeof(at)))
		return errno;
	if (chmod(s->path, 0660) || listen(s->fd, 16))
		return errno;
	return fd_listen(s->fd, FD_READ, connected, s);
}

/* The folder of the default path may be missing on a machine without systemd */
static void folder_make(const char *path)
{
	char folder[256];
	const char *end = strrchr(path, '/');

	if (!end || end == path || (size_t)(end - path) >= sizeof(folder))
		return;
	memcpy(folder, path, (size_t)(end - path));
	folder[end - path] = '\0';
	(void)mkdir(folder, 0755);
}

int server_open(struct server **sp, const struct server_setup *setup)
{
	struct server *s = mem_zalloc(sizeof(*s), NULL);
	int err;

	if (!s)
		return ENOMEM;
	s->setup = *setup;
	s->fd = -1;
	err = re_sdprintf(&s->path, "%s", setup->path);
	if (!err) {
		folder_make(s->path);
		err = listen_at(s);
	}
	if (err) {
		if (s->fd >= 0)
			close(s->fd);
		mem_deref(s->path);
		mem_deref(s);
		return err;
	}
	*sp = s;
	return 0;
}

void server_close(struct server *s)
{
	struct le *le;

	if (!s)
		return;
	while ((le = s->links.head)) {
		struct link *link = le->data;

		(void)mbuf_write_str(link->out, "5001 The daemon ends\n");
		(void)flush(link);
		link_close(link);
	}
	fd_close(s->fd);
	close(s->fd);
	(void)unlink(s->path);
	mem_deref(s->path);
	mem_deref(s);
}
