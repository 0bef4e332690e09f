/*
 * Audit log: what operators type, and what came of it
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/base.h"
#include "store/log.h"
#include "store/rotate.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "cli/audit.h"

enum {
	PATH_SIZE = 1024,
	MEGABYTE = 1000000,
	SHORTEST = 3 /* letters that may be short for a secret parameter */
};

struct audit {
	char path[PATH_SIZE]; /* "": none is written */
	int fd;
	uint64_t size, size_max;
	uint32_t files;
	gid_t group; /* -1: there is no such group */
	uid_t owner; /* -1: who writes it */
	bool on, verbose, required, failing;
};

/* --- Masks ---------------------------------------------------------------- */

/* Is the word the name of a secret parameter, or the beginning of one? */
static bool names_secret_of(const struct element *type, const char *word,
			    size_t n)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->child ? names_secret_of(f->child, word, n)
			     : (f->flags & SECRET) &&
				       !strncasecmp(f->name, word, n))
			return true;
	}

	return false;
}

static bool names_secret(const char *word, size_t n)
{
	static const char *const begins[] = { "pass", "secret", "key" };

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (n >= strlen(begins[i]) &&
		    !strncasecmp(word, begins[i], strlen(begins[i])))
			return true;
	for (const struct element *const *e = elements; *e && n >= SHORTEST;
	     e++)
		if (names_secret_of(*e, word, n))
			return true;

	return false;
}

/* Bytes of the word that begins here, its quotes with it */
static size_t word_length(const char *p)
{
	bool quoted = false;
	size_t n = 0;

	for (; p[n] && (quoted || (p[n] != ' ' && p[n] != '\t')); n++) {
		if (quoted && p[n] == '\\' && p[n + 1])
			n++;
		else if (p[n] == '"')
			quoted = !quoted;
	}

	return n;
}

void audit_mask(char *out, size_t size, const char *line, bool first)
{
	bool secret = false;
	size_t at = 0;

	for (const char *p = line; *p;) {
		size_t blanks = strspn(p, " \t"), n;
		const char *text = p + blanks;
		size_t length;

		n = length = word_length(text);
		if (secret && n) {
			text = secret_mask;
			length = strlen(secret_mask);
		}
		if (at + (at ? 1 : 0) + length + 1 > size)
			break;
		if (at && n)
			out[at++] = ' ';
		memcpy(out + at, text, length);
		at += length;
		secret = secret || (at == length && first) ||
			 names_secret(p + blanks, n);
		p += blanks + n;
	}
	out[at] = '\0';
}

/* --- File ----------------------------------------------------------------- */

static int file_open(struct audit *a)
{
	struct stat st;
	int err = rotate_open(&a->fd, a->path, O_NOFOLLOW, 0640, &st);

	if (err)
		return err;
	a->size = (uint64_t)st.st_size;
	/* Where the group is not ours to give, the owner still reads it */
	(void)!fchown(a->fd, a->owner, a->group);
	(void)fchmod(a->fd, 0640);

	return 0;
}

static void file_close(struct audit *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

static void file_rotate(struct audit *a)
{
	rotate(a->path, a->files);
	file_close(a);
}

/* Somebody may have moved the file away */
static bool is_there(struct audit *a)
{
	struct stat here, there;

	if (a->fd < 0 || fstat(a->fd, &here) || stat(a->path, &there))
		return false;
	a->size = (uint64_t)here.st_size;

	return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int bytes_write(struct audit *a, const struct mbuf *mb)
{
	size_t at = 0;
	int err = 0;

	if (!is_there(a)) {
		file_close(a);
		err = file_open(a);
	}
	if (!err && a->size && a->size + mb->end > a->size_max) {
		file_rotate(a);
		err = file_open(a);
	}
	while (!err && at < mb->end) {
		ssize_t n = write(a->fd, mb->buf + at, mb->end - at);

		if (n < 0 && errno != EINTR)
			err = errno;
		if (n > 0)
			at += (size_t)n;
	}
	a->size += at;

	return err;
}

static void state_tell(struct audit *a, int err)
{
	bool failing = err != 0;

	if (failing == a->failing)
		return;
	a->failing = failing;
	if (failing) {
		log_error(CLI, "audit-write-failed", "file=%s text=\"%s\"",
			  a->path, strerror(err));
		alarm_raise("audit-write-failed", ALARM_MAJOR, a->path, "%s",
			    strerror(err));
	} else {
		alarm_clear("audit-write-failed", a->path);
	}
}

/* --- Lines ---------------------------------------------------------------- */

/* In quotes; what would end the line or the quotes is escaped */
static int quoted_put(struct mbuf *mb, const char *text)
{
	int err = mbuf_write_u8(mb, '"');

	for (; *text && !err; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			err = mbuf_printf(mb, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			err = mbuf_printf(mb, "\\x%02x", c);
		else
			err = mbuf_write_u8(mb, c);
	}

	return err ? err : mbuf_write_u8(mb, '"');
}

static struct mbuf *line_begin(const struct audit_who *who)
{
	struct mbuf *mb = mbuf_alloc(512);
	char now[25];

	clock_rfc3339(now, clock_wall_ms());
	if (mb && mbuf_printf(mb, "%s conn=%u uid=%u user=%s role=%s path=%s",
			      now, who->connection, who->uid, who->user,
			      who->role, who->path ? who->path : "-"))
		mb = mem_deref(mb);

	return mb;
}

static void line_end(struct audit *a, struct mbuf *mb, int err)
{
	if (!mb)
		err = ENOMEM;
	else if (!err)
		err = mbuf_write_u8(mb, '\n');
	if (!err)
		err = bytes_write(a, mb);
	state_tell(a, err);
	mem_deref(mb);
}

static bool is_on(const struct audit *a)
{
	return a && a->on && *a->path;
}

static struct mbuf *command_begin(const struct audit_who *who, const char *name,
				  const char *text, int *errp)
{
	struct mbuf *mb = line_begin(who);

	*errp = mb ? mbuf_printf(mb, " %s=", name) : ENOMEM;
	if (!*errp)
		*errp = quoted_put(mb, text);

	return mb;
}

void audit_line(struct audit *a, const struct audit_who *who, const char *line)
{
	struct mbuf *mb;
	int err;

	if (!is_on(a))
		return;
	mb = command_begin(who, "cmd", line, &err);
	line_end(a, mb, err);
}

void audit_answer(struct audit *a, const struct audit_who *who,
		  const char *answer)
{
	struct mbuf *mb;
	int err;

	if (!is_on(a))
		return;
	mb = command_begin(who, "answer", answer ? answer : secret_mask, &err);
	line_end(a, mb, err);
}

void audit_result(struct audit *a, const struct audit_who *who,
		  const char *line, bool ok, const char *change)
{
	struct mbuf *mb;
	int err;

	if (!is_on(a))
		return;
	mb = command_begin(who, "cmd", line, &err);
	if (!err)
		err = mbuf_printf(mb, " result=%s", ok ? "ok" : "failed");
	if (!err && *change && a->verbose)
		err = mbuf_write_str(mb, " change=");
	if (!err && *change && a->verbose)
		err = quoted_put(mb, change);
	line_end(a, mb, err);
}

void audit_event(struct audit *a, const struct audit_who *who,
		 const char *event, const char *text)
{
	struct mbuf *mb;
	int err = ENOMEM;

	if (!is_on(a))
		return;
	mb = line_begin(who);
	if (mb)
		err = mbuf_printf(mb, " event=%s", event);
	if (!err && *text)
		err = mbuf_write_str(mb, " text=");
	if (!err && *text)
		err = quoted_put(mb, text);
	line_end(a, mb, err);
}

bool audit_works(const struct audit *a)
{
	return !is_on(a) || !a->failing;
}

bool audit_refuses(const struct audit *a)
{
	return is_on(a) && a->required && a->failing;
}

/* --- Life ----------------------------------------------------------------- */

static void audit_destructor(void *arg)
{
	file_close(arg);
}

int audit_open(struct audit **ap)
{
	struct audit *a = mem_zalloc(sizeof(*a), audit_destructor);

	if (!a)
		return ENOMEM;
	a->fd = -1;
	a->group = (gid_t)-1;
	a->owner = (uid_t)-1;
	a->size_max = 10 * MEGABYTE;
	a->files = 10;
	*ap = a;

	return 0;
}

void audit_close(struct audit *a)
{
	mem_deref(a);
}

void audit_owner(struct audit *a, uid_t owner)
{
	a->owner = owner;
}

void audit_follow(struct audit *a, const struct config *cfg, const char *folder)
{
	const struct audit_logging *log = audit_logging_of(cfg);
	struct group group, *found = NULL;
	char text[4096];

	(void)getgrnam_r(login_config_of(cfg)->superuser_group, &group, text,
			 sizeof(text), &found);
	a->group = found ? found->gr_gid : (gid_t)-1;
	a->on = log->state;
	a->verbose = log->detail_level == AUDIT_DETAIL_VERBOSE;
	a->required = log->audit_required;
	a->size_max = (uint64_t)log->max_file_size * MEGABYTE;
	a->files = log->max_files;
	state_tell(a, 0); /* of the file before; the next line finds out */
	if (!mkdir(folder, 0750))
		(void)!chown(folder, a->owner, (gid_t)-1);
	if (snprintf(a->path, sizeof(a->path), "%s/audit.log", folder) >=
	    (int)sizeof(a->path))
		a->path[0] = '\0';
	file_close(a); /* the next line opens it with its group */
}
