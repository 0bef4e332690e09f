/*
 * Log files: listed, their last lines, and what is written next
 *
 * sbc.log, sipmsg.log, audit.log and those they were rotated to, in the folder of
 * the running configuration. Nothing else that lies there is shown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/number.h"
#include "sbc/trace.h"
#include "cli/arguments.h"
#include "cli/json.h"
#include "cli/logfiles.h"
#include "cli/logging.h"

enum {
	LINES = 1000, /* when nobody says how many */
	LINES_MAX = 10000,
	LINES_BEFORE = 10,    /* what is followed */
	TAIL_BYTES = 4 << 20, /* of the end that are looked at */
	NEWS_BYTES = 64 << 10,
	LOOK = 500, /* at what is followed [ms] */
	PATH_BYTES = 1280,
	FILES = 1024
};

/* --- Which files there are ------------------------------------------------- */

/* "sbc.log", "sbc.log.3": a name and not a path */
static bool is_logfile(const char *name)
{
	static const char *const names[] = { "sbc.log", "sipmsg.log",
					     "audit.log" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);
		const char *rest = name + n;

		if (strncmp(name, names[i], n))
			continue;
		if (!*rest)
			return true;
		return *rest == '.' && rest[1] &&
		       rest[1 + strspn(rest + 1, "0123456789")] == '\0';
	}
	return false;
}

static void folder_get(char *buf, size_t size, const struct session *s)
{
	const struct plan *plan = sbc_plan(s->sbc);

	logging_folder(buf, size, plan->system, s->db);
	plan_give(plan);
}

static void path_get(char path[PATH_BYTES], const struct session *s,
		     const char *name)
{
	char folder[1024];

	folder_get(folder, sizeof(folder), s);
	(void)re_snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void file_row(struct session *s, const char *folder, const char *name)
{
	static const struct column columns[] = {
		{ "Name", -24 },
		{ "Size", 12 },
		{ "Date", -19 },
		{ NULL, 0 },
	};
	char path[PATH_BYTES];
	struct stat st;

	if (!name) {
		table_begin(&s->reply, NULL, columns);
		return;
	}
	(void)re_snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (lstat(path, &st) || !S_ISREG(st.st_mode))
		return;
	{
		const struct cell cells[] = {
			TEXT_CELL(name),
			NUMBER_CELL(st.st_size),
			TIME_CELL(st.st_mtime),
		};

		table_row(&s->reply, columns, cells);
	}
}

void display_logfiles(struct session *s, const struct words *w, uint32_t at)
{
	char folder[1024], *names[FILES];
	struct dirent *e;
	size_t n = 0;
	DIR *d;
	(void)w;
	(void)at;

	folder_get(folder, sizeof(folder), s);
	d = opendir(folder);
	while (d && n < FILES && (e = readdir(d)))
		if (is_logfile(e->d_name) && (names[n] = strdup(e->d_name)))
			n++;
	if (d)
		closedir(d);
	qsort(names, n, sizeof(names[0]), by_name);
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	file_row(s, folder, NULL);
	for (size_t i = 0; i < n; i++) {
		file_row(s, folder, names[i]);
		free(names[i]);
	}
	table_end(&s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}

/* --- The end of a file ------------------------------------------------------ */

/* Bytes from a place on; a link leads nowhere */
static int bytes_read(char *buf, size_t *np, const char *path, off_t from)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return errno;
	n = pread(fd, buf, *np, from);
	(void)close(fd);
	if (n < 0)
		return errno;
	*np = (size_t)n;
	return 0;
}

/* Where the last lines begin */
static const char *tail(const char *text, size_t n, uint32_t lines)
{
	const char *p = text + n;

	for (; p > text; p--)
		if (p[-1] == '\n' && p < text + n && !--lines)
			break;
	return p;
}

static void line_say(struct session *s, char *p, size_t n)
{
	const struct pl line = { p, n };

	trace_mask(p, n);
	if (s->reply.json)
		json_pl(&s->reply, NULL, &line);
	else
		reply_line(&s->reply, "%r", &line);
}

static void lines_say(struct session *s, char *p, size_t n)
{
	char *end = p + n;

	while (p < end) {
		char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t l = (size_t)((lf ? lf : end) - p);

		line_say(s, p, l && p[l - 1] == '\r' ? l - 1 : l);
		p += l + 1;
	}
}

int logfile_say(struct session *s, const char *name, uint32_t lines)
{
	char path[PATH_BYTES], *text, *p;
	struct stat st;
	size_t n = TAIL_BYTES;
	int err = 0;

	path_get(path, s, name);
	if (lstat(path, &st))
		return errno;
	text = malloc(TAIL_BYTES);
	if (!text)
		return ENOMEM;
	err = bytes_read(text, &n, path,
			 st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
	if (!err) {
		p = text + (tail(text, n, lines) - text);
		lines_say(s, p, (size_t)(text + n - p));
	}
	free(text);
	return err;
}

/* --- follow ------------------------------------------------------------------ */

/* A question that only Ctrl-C answers: meanwhile what is written comes */
struct following {
	struct session *s;
	struct timer timer;
	char path[PATH_BYTES];
	ino_t file;
	off_t at;
};

static void following_destructor(void *arg)
{
	struct following *f = arg;

	timer_cancel(&f->timer);
	f->s->follows = false;
}

static void look(void *arg)
{
	struct following *f = arg;
	struct session *s = f->s;
	char *buf = NULL;
	size_t n = NEWS_BYTES;
	struct stat st;

	timer_start(&f->timer, LOOK, look, f);
	if (lstat(f->path, &st))
		return; /* between two files */
	/* It was rotated, or emptied */
	if (st.st_ino != f->file || st.st_size < f->at)
		f->at = 0;
	f->file = st.st_ino;
	if (st.st_size > f->at)
		buf = malloc(n);
	if (!buf || bytes_read(buf, &n, f->path, f->at)) {
		free(buf);
		return;
	}
	/* Half a line is looked at again */
	while (n && n < NEWS_BYTES && buf[n - 1] != '\n')
		n--;
	f->at += (off_t)n;
	lines_say(s, buf, n);
	free(buf);
	if (n)
		s->resumes(s); /* the last: it may be gone behind it */
}

static void followed(struct session *s, const struct pl *line)
{
	(void)line;
	s->arg = mem_deref(s->arg);
}

/* Before the last lines are read, so that none is left out; NULL: no memory */
static struct following *following_make(struct session *s, const char *name)
{
	struct following *f = mem_zalloc(sizeof(*f), following_destructor);
	struct stat st;

	if (!f)
		return NULL;
	f->s = s;
	path_get(f->path, s, name);
	if (!lstat(f->path, &st)) {
		f->file = st.st_ino;
		f->at = st.st_size;
	}
	return f;
}

static void follow(struct session *s, struct following *f)
{
	s->arg = f;
	s->asks = followed;
	s->follows = true;
	reply_note(&s->reply, REPLY_NO_MORE, "");
	reply_note(&s->reply, REPLY_FOLLOW, "");
	timer_start(&f->timer, LOOK, look, f);
}

/* --- show logfile -------------------------------------------------------------- */

/* [last N] [follow]; false: said so */
static bool logfile_words(struct session *s, const struct words *w, uint32_t at,
			  uint64_t *lines, bool *follows)
{
	for (; at < w->n; at++) {
		if (!strcmp(w->v[at], "follow")) {
			*follows = true;
		} else if (strcmp(w->v[at], "last") != 0) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "last N, follow",
				    w->v[at]);
			return false;
		} else if (!arguments_number(&s->reply, w, at + 1, "last", 1,
					     LINES_MAX, lines)) {
			return false;
		} else {
			at++;
		}
	}
	if (!*follows || !s->reply.json)
		return true;
	reply_error(&s->reply, REPLY_ARGUMENT, "follow has no JSON form");
	return false;
}

void show_logfile(struct session *s, const struct words *w, uint32_t at)
{
	struct following *f = NULL;
	bool follows = false;
	uint64_t lines = 0;
	int err = 0;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing NAME");
		return;
	}
	if (!is_logfile(w->v[at])) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no log file [%s]", w->v[at]);
		return;
	}
	if (!logfile_words(s, w, at + 1, &lines, &follows))
		return;
	if (!lines)
		lines = follows ? LINES_BEFORE : LINES;
	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '[');
	}
	if (follows && !(f = following_make(s, w->v[at])))
		err = ENOMEM;
	if (!err)
		err = logfile_say(s, w->v[at], (uint32_t)lines);
	if (!err && s->reply.json) {
		json_close(&s->reply, ']');
		json_end(&s->reply);
	}
	if (!err && f)
		follow(s, f);
	if (!err)
		return;
	mem_deref(f);
	s->reply.doc = mem_deref(s->reply.doc);
	if (err == ENOENT)
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no log file [%s]", w->v[at]);
	else
		reply_error(&s->reply, REPLY_FAILED, "%s cannot be read: %m",
			    w->v[at], err);
}
