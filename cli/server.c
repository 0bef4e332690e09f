/*
 * Control socket; one session per connection
 *
 * On the front thread's loop. A session that does not read its answers waits
 * alone: what it has not taken stays in its own buffer, and its next line is
 * not read before that is empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "store/log.h"
#include "store/number.h"
#include "sbc/clock.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/configure.h"
#include "cli/form.h"
#include "cli/server.h"

enum {
	FILE_BYTES = 256 << 20, /* the largest file that is taken */
	PULSE = 1000,           /* [ms]: a sign of life of long work */
	WARNING = 60            /* [s] before an idle connection is closed */
};

struct server {
	struct control *control; /* NULL: who connects waits */
	char *path;
	int fd;
	uint32_t connections;
	struct list links;
	struct timer pulse;
};

struct link {
	struct le le;
	struct server *server;
	struct session session;
	uint64_t began; /* wall [s] */
	int fd;
	char in[4096]; /* came, and was not looked at yet */
	size_t in_at, in_len;
	char line[LINE_MAX_BYTES + 1];
	size_t len;
	bool too_long;
	struct mbuf *file; /* being sent by the client */
	size_t file_len;
	struct mbuf *out; /* written at its end */
	size_t sent;      /* of out, taken by the client */
	uint64_t active;  /* [ms] something was typed, or work ended */
	bool warned;      /* that it will be closed */
	bool wiped;       /* there are secrets in out */
};

static void bytes_wipe(struct mbuf *mb)
{
	if (mb)
		explicit_bzero(mb->buf, mb->size);
}

static void link_close(struct link *link)
{
	session_event(&link->session, "logout", "");
	form_close(&link->session);
	configure_close(&link->session);
	control_leave(&link->session);
	list_unlink(&link->le);
	fd_close(link->fd);
	close(link->fd);
	bytes_wipe(link->file);
	mem_deref(link->file);
	mem_deref(link->out);
	reply_finish(&link->session.reply);
	mem_deref(link->session.audited);
	/* Without a socket of its own there is no other session to come */
	if (link->server->fd < 0)
		re_cancel();
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
	if (link->wiped)
		bytes_wipe(mb);
	link->wiped = false;
	if (link->session.ends)
		return false;
	/* While a task is at work its client is not listened to */
	if (session_is_busy(&link->session)) {
		fd_close(link->fd);
		return true;
	}
	return !fd_listen(link->fd, FD_READ, readable, link);
}

/* "5000-reading 4096 59000046", or nothing but the code */
static void life_write(struct mbuf *mb, const struct progress *p)
{
	const char *what = p ? atomic_load(&p->what) : NULL;

	if (what)
		(void)mbuf_printf(mb, "5000-%s %zu %zu\n", what,
				  atomic_load(&p->done),
				  atomic_load(&p->total));
	else
		(void)mbuf_write_str(mb, "5000-\n");
}

/* In the middle of a line that is being run: whether the client is still there is
 * found when the answer is sent */
static void waits(struct session *s)
{
	struct link *link =
		(struct link *)((char *)s - offsetof(struct link, session));
	ssize_t n;

	if (link->out->end)
		return; /* he does not read what he has */
	life_write(link->out, NULL);
	n = send(link->fd, link->out->buf, link->out->end,
		 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		link->sent = (size_t)n;
	if (link->sent == link->out->end)
		link->out->pos = link->out->end = link->sent = 0;
}

static struct audit_who who(const struct session *s)
{
	return session_who(s, configure_word(s));
}

/* acli.md 4: each line is recorded before it runs, and its result after it */
static void line_record(struct session *s, const char *line)
{
	const struct audit_who me = who(s);
	char masked[LINE_MAX_BYTES + 1];

	if (!s->audit || !line[strspn(line, " \t")])
		return;
	audit_mask(masked, sizeof(masked), line,
		   configure_names_secret(s, line));
	audit_line(s->audit, &me, masked);
	mem_deref(s->audited);
	if (str_dup(&s->audited, masked))
		s->audited = NULL;
}

static void answer_record(struct session *s, const char *answer)
{
	const struct audit_who me = who(s);
	bool quiet = s->reply.asked == REPLY_QUESTION_QUIET;

	audit_answer(s->audit, &me, quiet ? NULL : answer);
}

static void result_record(struct session *s)
{
	const struct audit_who me = who(s);
	const struct mbuf *change = s->reply.change;
	char *text = NULL;

	if (!s->audited)
		return;
	if (change)
		(void)re_sdprintf(&text, "%b", change->buf, change->end);
	audit_result(s->audit, &me, s->audited, !s->reply.failed,
		     text ? text : "");
	mem_deref(text);
	s->audited = mem_deref(s->audited);
}

/* What the session has said up to now leaves. The answer ends with a prompt, or
 * goes on after a question or a task */
static void reply_send(struct link *link)
{
	struct session *s = &link->session;

	commands_end(s);
	link->wiped |= s->reply.wiped;
	(void)mbuf_write_mem(link->out, s->reply.mb->buf, s->reply.mb->end);
	if (session_is_done(s)) {
		result_record(s);
		reply_finish(&s->reply);
		explicit_bzero(link->line, sizeof(link->line));
	} else {
		s->reply.mb->pos = s->reply.mb->end = 0;
	}
}

/* The text of login-banner; a batch has no use for it */
static void greet(struct session *s)
{
	const struct plan *plan = s->sbc ? sbc_plan(s->sbc) : NULL;
	const char *banner =
		plan ? login_config_of(plan->config)->login_banner : "";

	if (*banner)
		reply_line(&s->reply, "%s", banner);
	if (plan && !plan->system->cli_more)
		reply_note(&s->reply, REPLY_PAGE, "0");
	plan_give(plan);
}

/* Besides lines of an operator: SOH is the start of his, ENQ that of a batch,
 * EOT its end, ETX no answer */
static void line_done(struct link *link)
{
	struct session *s = &link->session;

	link->active = s->spoke = clock_ms();
	link->warned = false;
	if (!s->asks && !strcmp(link->line, "\x01")) {
		if (reply_init(&s->reply))
			return;
		greet(s);
	} else if (!s->asks && !strcmp(link->line, "\x05")) {
		if (reply_init(&s->reply))
			return;
		/* The highest mode that the role allows (1.10) */
		if (s->may_be_superuser)
			commands_run(s, "enable");
	} else if (!s->asks && !strcmp(link->line, "\x04")) {
		if (reply_init(&s->reply))
			return;
		configure_end(s);
		s->ends = true;
	} else if (s->asks && !strcmp(link->line, "\x03")) {
		const bool asked = !s->follows;

		answer_record(s, "^C");
		s->asks = NULL;
		s->arg = mem_deref(s->arg);
		configure_cancel(s);
		if (asked)
			reply_line(&s->reply, "Nothing was changed.");
	} else if (s->asks) {
		struct pl pl = range_of(link->line);

		answer_record(s, link->line);
		session_answer(s, &pl);
	} else if (reply_init(&s->reply)) {
		return;
	} else if (link->too_long) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "The line is longer than %u bytes", LINE_MAX_BYTES);
	} else if (complete_is_asked(link->line)) {
		complete_run(s, link->line);
	} else {
		line_record(s, link->line);
		commands_run(s, link->line);
	}
	link->too_long = false;
	link->len = 0;
	reply_send(link);
}

/* The line in front of a file is its length; anything else: none comes. Room
 * for all of it at once leaves no copy behind that would not be wiped; pages
 * that nobody has written take no memory */
static void file_begin(struct link *link)
{
	static const struct pl none = { NULL, 0 };
	struct session *s = &link->session;
	struct pl pl = range_of(link->line);
	uint64_t n;

	link->len = 0;
	if (!uint_parse(&n, &pl, FILE_BYTES))
		link->file = mbuf_alloc(n + 1);
	if (link->file) {
		link->file_len = n;
		return;
	}
	session_answer(s, &none);
	reply_send(link);
}

static void file_done(struct link *link)
{
	struct pl pl = { (const char *)link->file->buf, link->file->end };

	link->session.came = link->file;
	session_answer(&link->session, &pl);
	link->session.came = NULL;
	/* Who kept it wipes it */
	if (mem_nrefs(link->file) == 1)
		bytes_wipe(link->file);
	link->file = mem_deref(link->file);
	reply_send(link);
}

static void file_take(struct link *link)
{
	size_t n = link->in_len - link->in_at;
	size_t missing = link->file_len - link->file->end;

	if (n > missing)
		n = missing;
	/* Without memory the bytes are lost, and the reader says so */
	if (mbuf_write_mem(link->file, (uint8_t *)link->in + link->in_at, n))
		link->file_len -= n;
	link->in_at += n;
	if (link->file->end == link->file_len)
		file_done(link);
}

/* One byte after the other into the line: operators type slowly, and the bound
 * is checked in one place */
static void byte_take(struct link *link)
{
	char c = link->in[link->in_at++];

	if (c != '\n') {
		if (link->len < LINE_MAX_BYTES && c)
			link->line[link->len++] = c;
		else
			link->too_long = true;
		return;
	}
	link->line[link->len] = '\0';
	if (link->session.wants)
		file_begin(link);
	else
		line_done(link);
}

/* What came, up to a task that is to be waited for */
static void take(struct link *link)
{
	while (!session_is_busy(&link->session) && link->in_at < link->in_len) {
		if (link->file)
			file_take(link);
		else
			byte_take(link);
		/* A file of no bytes */
		if (link->file && link->file->end == link->file_len)
			file_done(link);
	}
	if (link->in_at == link->in_len) {
		explicit_bzero(link->in, sizeof(link->in));
		link->in_at = link->in_len = 0;
	}
}

/* The task of a session has ended, or there is more of what it follows */
static void resumed(struct session *s)
{
	struct link *link =
		(struct link *)((char *)s - offsetof(struct link, session));

	if (!s->follows) /* that is no activity (acli.md 4) */
		link->active = clock_ms();
	reply_send(link);
	take(link);
	if (!flush(link))
		link_close(link);
}

/* Between two answers, and in none of them */
static void notified(struct session *s, const char *text)
{
	struct link *link =
		(struct link *)((char *)s - offsetof(struct link, session));

	(void)mbuf_printf(link->out, "%04u-%s\n", (unsigned)REPLY_NOTICE, text);
	if (!session_is_busy(s))
		(void)fd_listen(link->fd, FD_WRITE, readable, link);
}

static void readable(int flags, void *arg)
{
	struct link *link = arg;

	if ((flags & FD_READ) && !link->in_len) {
		ssize_t n = recv(link->fd, link->in, sizeof(link->in), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			link_close(link);
			return;
		}
		if (n > 0)
			link->in_len = (size_t)n;
		take(link);
	}
	if (!flush(link))
		link_close(link);
}

/* Offline whoever may write the database may do anything */
static enum role role_of(const struct control *control,
			 const struct ucred *cred)
{
	const struct plan *plan;
	enum role role;

	if (!control->setup.sbc)
		return ROLE_SUPERUSER;
	plan = sbc_plan(control->setup.sbc);
	role = login_role(login_config_of(plan->config), cred->uid, cred->gid);
	plan_give(plan);

	return role;
}

/* One more than the limit is kept for root */
static bool is_full(const struct server *server, const struct ucred *cred)
{
	const struct control *control = server->control;
	const struct plan *plan;
	uint32_t limit;

	if (!control->setup.sbc)
		return false;
	plan = sbc_plan(control->setup.sbc);
	limit = login_config_of(plan->config)->concurrent_session_limit;
	plan_give(plan);

	return list_count(&server->links) >= limit + (cred->uid == 0);
}

static void session_begin(struct link *link, const struct ucred *cred,
			  enum role role)
{
	struct control *control = link->server->control;
	struct session *s = &link->session;

	s->control = control;
	s->sbc = control->setup.sbc;
	s->db = control->setup.db;
	s->seal = control->setup.seal;
	s->audit = control->setup.audit;
	s->resumes = resumed;
	s->line = commands_run;
	s->notify = notified;
	s->waits = waits;
	s->number = ++link->server->connections;
	s->uid = cred->uid;
	s->may_be_superuser = role == ROLE_SUPERUSER;
	login_name(s->user, cred->uid, cred->pid);
	link->active = clock_ms();
	link->began = clock_wall();
	session_event(s, "login", "");
}

/* acli.md 4: a connection on which nothing is typed is told, and then closed.
 * False: it was closed */
static bool idle_look(struct link *link, uint32_t timeout)
{
	uint64_t idle = (clock_ms() - link->active) / 1000;
	char text[80];

	if (session_is_busy(&link->session) || !timeout)
		return true;
	if (idle >= timeout) {
		session_event(&link->session, "idle-timeout", "");
		notified(&link->session, "The connection was idle, and ends");
		(void)flush(link);
		link_close(link);
		return false;
	}
	if (timeout > WARNING && idle + WARNING >= timeout && !link->warned) {
		link->warned = true;
		(void)re_snprintf(text, sizeof(text),
				  "The connection is idle and ends in %u s",
				  WARNING);
		notified(&link->session, text);
	}
	return true;
}

static uint32_t console_timeout(const struct server *server)
{
	const struct plan *plan;
	uint32_t timeout;

	if (!server->control || !server->control->setup.sbc)
		return 0;
	plan = sbc_plan(server->control->setup.sbc);
	timeout = plan->system->console_timeout;
	plan_give(plan);

	return timeout;
}

/* Who waits for a task hears each second that there is one (acli.md 1.10) */
static void pulse(void *arg)
{
	struct server *server = arg;
	struct le *le = server->links.head;
	uint32_t timeout = console_timeout(server);

	while (le) {
		struct link *link = le->data;

		le = le->next;
		if (!idle_look(link, timeout) ||
		    !(session_is_busy(&link->session) || link->session.follows))
			continue;
		/* No more for a client that does not read */
		if (!link->out->end)
			life_write(link->out,
				   link->session.task
					   ? &link->session.task->progress
					   : NULL);
		if (!flush(link))
			link_close(link);
	}
	if (server->links.head)
		timer_start(&server->pulse, PULSE, pulse, server);
}

void server_walk(const struct server *s, session_report_h *h, void *arg)
{
	const uint64_t now = clock_ms();

	for (struct le *le = list_head(&s->links); le; le = le->next) {
		const struct link *link = le->data;
		const struct session_report x = {
			.session = &link->session,
			.since = link->began,
			.idle = (now - link->active) / 1000,
		};

		h(&x, arg);
	}
}

void server_notice(struct server *s, const char *text)
{
	for (struct le *le = list_head(&s->links); le; le = le->next) {
		struct link *link = le->data;

		notified(&link->session, text);
	}
}

/* The kernel tells who connects. Who may not is closed without a word */
static bool admits(const struct server *server, int fd, struct ucred *cred,
		   enum role *role)
{
	static const char full[] = "8005 Too many connections\n";
	socklen_t len = sizeof(*cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len))
		return false;
	*role = role_of(server->control, cred);
	if (*role == ROLE_NONE) {
		log_notice(CLI, "login-refused", "uid=%u", cred->uid);
		return false;
	}
	if (!is_full(server, cred))
		return true;
	(void)!send(fd, full, strlen(full), MSG_NOSIGNAL);
	return false;
}

static int join(struct server *server, int fd, const char *notice)
{
	struct link *link;
	struct ucred cred = { .uid = (uid_t)-1 };
	enum role role;
	int err = ENOMEM;

	if (!admits(server, fd, &cred, &role)) {
		close(fd);
		return EACCES;
	}
	link = mem_zalloc(sizeof(*link), NULL);
	if (link)
		link->out = mbuf_alloc(4096);
	if (link && link->out)
		err = fd_listen(fd, FD_READ, readable, link);
	if (err) {
		if (link)
			mem_deref(link->out);
		mem_deref(link);
		close(fd);
		return err;
	}

	link->fd = fd;
	link->server = server;
	session_begin(link, &cred, role);
	list_append(&server->links, &link->le, link);
	if (!timer_is_running(&server->pulse))
		timer_start(&server->pulse, PULSE, pulse, server);
	if (notice)
		notified(&link->session, notice);
	return 0;
}

static void connected(int flags, void *arg)
{
	struct server *server = arg;
	int fd;
	(void)flags;

	fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		(void)join(server, fd, NULL);
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
	return chmod(s->path, 0660) || listen(s->fd, 16) ? errno : 0;
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

int server_open(struct server **sp, const char *path)
{
	struct server *s = mem_zalloc(sizeof(*s), NULL);
	int err;

	if (!s)
		return ENOMEM;
	s->fd = -1;
	if (!path) {
		*sp = s;
		return 0;
	}
	err = re_sdprintf(&s->path, "%s", path);
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

void server_follow(struct server *s)
{
	const struct plan *plan;

	if (s->fd < 0 || !s->control || !s->control->setup.sbc)
		return;
	plan = sbc_plan(s->control->setup.sbc);
	/* Where the group is not ours to give, the mode keeps others out */
	(void)!chown(s->path, (uid_t)-1,
		     login_group(login_config_of(plan->config)));
	plan_give(plan);
}

int server_serve(struct server *s, struct control *control)
{
	s->control = control;
	server_follow(s);
	return s->fd < 0 ? 0 : fd_listen(s->fd, FD_READ, connected, s);
}

int server_join(struct server *s, int fd, const char *notice)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		return errno;
	return join(s, fd, notice);
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
	timer_cancel(&s->pulse);
	if (s->fd >= 0) {
		fd_close(s->fd);
		close(s->fd);
		(void)unlink(s->path);
	}
	mem_deref(s->path);
	mem_deref(s);
}
