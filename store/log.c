/*
 * One event, one line, into a ring; a thread of its own writes the ring out
 *
 * The ring is two buffers: lines go into the one, the writer empties the other
 * and swaps. A line that finds no room is counted, and the count is written as
 * a line. The keys of a line stand in its format, never in a value: they are
 * found there before anything is put in, so no value can forge a field.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <systemd/sd-journal.h>
#include "store/log.h"
#include "store/number.h"
#include "store/rotate.h"

enum {
	RING_BYTES = 512 * 1024,
	LINE_BYTES = 4096,
	FORMAT_BYTES = 512,
	FIELDS_MAX = 24,
	FILE_BYTES = 100 * 1000 * 1000,
	FILES_KEPT = 10,
	EVENTS_MAX = 64,
	ADMITTED = 10, /* of one event in a second */
	MARK = 0x1e,   /* stands before a key while the line is formatted */
};

enum target {
	TO_STDERR,
	TO_FILE,
	TO_SYSLOG,
	TO_JOURNAL
};

/* A line in the ring */
struct head {
	uint16_t length;
	uint8_t level, component;
};

struct buffer {
	size_t used;
	char bytes[RING_BYTES];
};

struct event {
	const char *name;
	int64_t second;
	unsigned seen;
};

static const char *const level_names[] = {
	"ZERO",   "EMERGENCY", "CRITICAL", "MAJOR", "MINOR",  "WARNING",
	"NOTICE", "INFO",      "TRACE",    "DEBUG", "DETAIL",
};

static const char *const component_names[LOG_COMPONENTS] = {
	"sipd", "surrogate", "auth", "policy", "realms",   "media",      "tls",
	"dns",  "db",        "cli",  "plugin", "diameter", "federation", "flow",
};

/* RFC 5424 6.2.1, by level */
static const int priorities[] = {
	LOG_DEBUG,  LOG_EMERG, LOG_CRIT, LOG_ERR,   LOG_ERR,   LOG_WARNING,
	LOG_NOTICE, LOG_INFO,  LOG_INFO, LOG_DEBUG, LOG_DEBUG,
};

static atomic_uchar levels[LOG_COMPONENTS] = {
	[0 ... LOG_COMPONENTS - 1] = LEVEL_NOTICE,
};
static atomic_bool json;
static atomic_int failing; /* errno of the last write; 0: it worked */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
/* Under the lock */
static struct buffer buffers[2];
static struct buffer *front = &buffers[0];
static struct event events[EVENTS_MAX];
static unsigned long lost;
static bool running, stopping, reopen;

/* Of the writer */
static pthread_t writer;
static enum target target;
static int file = -1;
static size_t file_size;
static char file_path[4096];

/* Bytes into a line; what does not fit is cut off */
struct out {
	char *p;
	size_t used, size;
};

static void put(struct out *o, const char *p, size_t n)
{
	if (n > o->size - o->used)
		n = o->size - o->used;
	memcpy(o->p + o->used, p, n);
	o->used += n;
}

static void put_text(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_hex(struct out *o, const char *escape, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2] = { digits[c >> 4], digits[c & 15] };

	put_text(o, escape);
	put(o, hex, 2);
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* A value as text: in quotes where it needs them, control as \xNN */
static void put_value(struct out *o, const char *p, size_t n)
{
	bool quotes = !n;

	for (size_t i = 0; i < n && !quotes; i++)
		quotes = p[i] == ' ' || p[i] == '"' || p[i] == '\\' ||
			 p[i] == '=';

	if (quotes)
		put_text(o, "\"");
	for (size_t i = 0; i < n; i++) {
		if (is_control((unsigned char)p[i])) {
			put_hex(o, "\\x", (unsigned char)p[i]);
			continue;
		}
		if (quotes && (p[i] == '"' || p[i] == '\\'))
			put_text(o, "\\");
		put(o, p + i, 1);
	}
	if (quotes)
		put_text(o, "\"");
}

/* A value as JSON string (RFC 8259 7); bytes above 127 are taken as Latin-1,
 * so that a line is well-formed whatever a stranger sent */
static void put_json(struct out *o, const char *p, size_t n)
{
	put_text(o, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (is_control(c) || c > 0x7e) {
			put_hex(o, "\\u00", c);
			continue;
		}
		if (c == '"' || c == '\\')
			put_text(o, "\\");
		put(o, p + i, 1);
	}
	put_text(o, "\"");
}

static size_t key_length(const char *p)
{
	size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n && p[n] == '=' ? n : 0;
}

/* Copy the format with a mark before each key; 0 if it does not begin so */
static unsigned format_mark(char *to, const char *fmt)
{
	unsigned keys = 0;
	size_t n = 0;

	for (size_t i = 0; fmt[i]; i++) {
		bool begin = !i || fmt[i - 1] == ' ';

		if (n + 2 >= FORMAT_BYTES)
			return 0;
		if (begin && key_length(fmt + i)) {
			if (n)
				n--; /* the mark takes the place of a blank */
			to[n++] = MARK;
			keys++;
		}
		to[n++] = fmt[i];
	}
	to[n] = '\0';

	return to[0] == MARK ? keys : 0;
}

static void put_field(struct out *o, const char *key, size_t key_n,
		      const char *p, size_t n)
{
	/* Quotes of the format: they are put where the value needs them */
	if (n >= 2 && p[0] == '"' && p[n - 1] == '"') {
		p++;
		n -= 2;
	}

	if (atomic_load(&json)) {
		put_text(o, ",");
		put_json(o, key, key_n);
		put_text(o, ":");
		put_json(o, p, n);
	} else {
		put_text(o, " ");
		put(o, key, key_n);
		put_text(o, "=");
		put_value(o, p, n);
	}
}

__attribute__((format(printf, 2, 0))) static void put_fields(struct out *o,
							     const char *fmt,
							     va_list ap)
{
	char format[FORMAT_BYTES], text[LINE_BYTES];
	unsigned keys = format_mark(format, fmt), marks = 0;
	size_t n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (vsnprintf(text, sizeof(text), keys ? format : fmt, ap) < 0)
		return;
#pragma GCC diagnostic pop
	n = strlen(text);
	for (size_t i = 0; i < n; i++)
		marks += text[i] == MARK;

	/* A value that holds the mark itself: everything is one text */
	if (!keys || marks > keys) {
		if (n)
			put_field(o, "text", 4, text, n);
		return;
	}

	for (char *p = text; p < text + n;) {
		char *key = p + 1;
		char *next = memchr(key, MARK, (size_t)(text + n - key));
		char *end = next ? next : text + n;
		char *equal = memchr(key, '=', (size_t)(end - key));

		if (!equal)
			break; /* cut off inside a key */
		put_field(o, key, (size_t)(equal - key), equal + 1,
			  (size_t)(end - equal - 1));
		p = end;
	}
}

static void put_begin(struct out *o, enum log_component c, enum log_level level,
		      const char *event)
{
	struct timespec now;
	struct tm tm;
	char when[64];
	size_t n;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	(void)gmtime_r(&now.tv_sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(when + n, sizeof(when) - n, ".%03uZ",
		       (unsigned)(now.tv_nsec / 1000000) % 1000);

	if (atomic_load(&json)) {
		put_text(o, "{\"time\":");
		put_json(o, when, strlen(when));
		put_text(o, ",\"level\":");
		put_json(o, level_names[level], strlen(level_names[level]));
		put_text(o, ",\"component\":");
		put_json(o, component_names[c], strlen(component_names[c]));
		put_text(o, ",\"event\":");
		put_json(o, event, strlen(event));
		return;
	}

	put_text(o, when);
	put_text(o, " ");
	put_text(o, level_names[level]);
	put_text(o, " ");
	put_text(o, component_names[c]);
	put_text(o, " ");
	put_text(o, event);
}

/* All bytes, or none that anybody could miss: a log has nowhere to complain */
static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			atomic_store(&failing, done ? errno : EIO);
			return;
		}
		p += done;
		n -= (size_t)done;
	}
	atomic_store(&failing, 0);
}

/* The writer */

static int file_open(void)
{
	struct stat st;
	/* A FIFO of this name holds nobody */
	int fd = open(file_path,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK,
		      0640);

	if (fd < 0)
		return errno;

	file_size = fstat(fd, &st) ? 0 : (size_t)st.st_size;
	if (file >= 0)
		(void)close(file); /* everything is written */
	file = fd;
	return 0;
}

static void file_rotate(void)
{
	rotate(file_path, FILES_KEPT);
	(void)file_open(); /* the old one goes on being written */
}

static void buffer_lines(struct buffer *b)
{
	for (size_t at = 0; at < b->used;) {
		struct head head;
		char *text = b->bytes + at + sizeof(head);

		memcpy(&head, b->bytes + at, sizeof(head));
		/* Neither takes the line end; both stamp the time anew */
		if (target == TO_SYSLOG)
			syslog(priorities[head.level], "%.*s",
			       (int)head.length - 1, text);
		else
			(void)sd_journal_send(
				"MESSAGE=%.*s", (int)head.length - 1, text,
				"PRIORITY=%d", priorities[head.level],
				"SBC_COMPONENT=%s",
				component_names[head.component], NULL);
		at += sizeof(head) + head.length;
	}
}

static void buffer_bytes(struct buffer *b)
{
	size_t n = 0;

	/* Close the gaps of the heads, then all goes out in one call */
	for (size_t at = 0; at < b->used;) {
		struct head head;

		memcpy(&head, b->bytes + at, sizeof(head));
		memmove(b->bytes + n, b->bytes + at + sizeof(head),
			head.length);
		n += head.length;
		at += sizeof(head) + head.length;
	}

	if (target == TO_STDERR) {
		write_all(STDERR_FILENO, b->bytes, n);
		return;
	}
	write_all(file, b->bytes, n);
	file_size += n;
	if (file_size >= FILE_BYTES)
		file_rotate();
}

static void buffer_write(struct buffer *b)
{
	if (!b->used)
		return;

	switch (target) {
	case TO_STDERR:
	case TO_FILE:
		buffer_bytes(b);
		break;
	case TO_SYSLOG:
	case TO_JOURNAL:
		buffer_lines(b);
		break;
	}
	b->used = 0;
}

static int64_t second_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return now.tv_sec;
}

/* What was left out in a second that is over; one event a call */
static bool left_out(const char **event, unsigned *count)
{
	int64_t now = second_now();

	for (size_t i = 0; i < EVENTS_MAX; i++) {
		struct event *e = &events[i];

		if (!e->name || e->second == now || e->seen <= ADMITTED)
			continue;
		*event = e->name;
		*count = e->seen - ADMITTED;
		e->seen = 0;
		return true;
	}

	return false;
}

static void tell_left_out(void)
{
	unsigned long missed;
	const char *event;
	unsigned count;
	bool any;

	do {
		(void)pthread_mutex_lock(&lock);
		any = left_out(&event, &count);
		missed = lost;
		lost = 0;
		(void)pthread_mutex_unlock(&lock);

		if (any)
			log_warning(SIPD, "log-limited", "limited=%s count=%u",
				    event, count);
		if (missed)
			log_error(SIPD, "log-full", "count=%lu", missed);
	} while (any);
}

static void *writer_run(void *arg)
{
	bool more = true;

	(void)arg;
	while (more) {
		struct buffer *full;
		struct timespec until;
		bool again;

		tell_left_out();
		/* Not the wall clock, which may be set back by hours */
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;

		(void)pthread_mutex_lock(&lock);
		if (!front->used && !stopping && !reopen)
			(void)pthread_cond_clockwait(&wake, &lock,
						     CLOCK_MONOTONIC, &until);
		full = front;
		front = front == &buffers[0] ? &buffers[1] : &buffers[0];
		again = reopen;
		reopen = false;
		more = !stopping;
		(void)pthread_mutex_unlock(&lock);

		if (again && target == TO_FILE)
			(void)file_open(); /* else the old one goes on */
		buffer_write(full);
	}

	return NULL;
}

/* What the program calls */

int log_open(const struct log_setup *setup)
{
	static const char *const targets[] = { "stderr", "file", "syslog",
					       "journal" };
	sigset_t all, before;
	size_t i = 0;
	int err;

	while (i < 4 && strcmp(targets[i], setup->target))
		i++;
	if (i == 4)
		return EINVAL;
	if (running)
		return EALREADY;

	target = (enum target)i;
	if (target == TO_FILE) {
		if (!setup->path ||
		    snprintf(file_path, sizeof(file_path), "%s/sbc.log",
			     setup->path) >= (int)sizeof(file_path))
			return EINVAL;
		if (mkdir(setup->path, 0750) && errno != EEXIST)
			return errno;
		err = file_open();
		if (err)
			return err;
	}
	if (target == TO_SYSLOG)
		openlog("sbcd", LOG_PID, LOG_DAEMON);
	atomic_store(&json, setup->format && !strcmp(setup->format, "json"));

	/* Signals belong to the front */
	stopping = false;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&writer, NULL, writer_run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err && file >= 0) {
		(void)close(file);
		file = -1;
	}

	(void)pthread_mutex_lock(&lock);
	running = !err;
	(void)pthread_mutex_unlock(&lock);
	return err;
}

int log_failing(void)
{
	return atomic_load(&failing);
}

void log_close(void)
{
	bool was;

	(void)pthread_mutex_lock(&lock);
	was = running;
	stopping = true;
	running = false;
	(void)pthread_cond_signal(&wake);
	(void)pthread_mutex_unlock(&lock);
	if (!was)
		return;

	(void)pthread_join(writer, NULL);
	buffer_write(&buffers[0]); /* the writer is gone */
	buffer_write(&buffers[1]);
	if (file >= 0)
		(void)close(file);
	file = -1;
	if (target == TO_SYSLOG)
		closelog();
	atomic_store(&json, false);
}

void log_reopen(void)
{
	(void)pthread_mutex_lock(&lock);
	reopen = true;
	(void)pthread_cond_signal(&wake);
	(void)pthread_mutex_unlock(&lock);
}

void log_level_set(enum log_component c, enum log_level level)
{
	for (unsigned i = 0; i < LOG_COMPONENTS; i++) {
		if (c == LOG_COMPONENTS || i == (unsigned)c)
			atomic_store(&levels[i], (unsigned char)level);
	}
}

enum log_level log_level_get(enum log_component c)
{
	return c < LOG_COMPONENTS ? (enum log_level)atomic_load(&levels[c])
				  : LEVEL_ZERO;
}

int log_level_parse(const char *word)
{
	struct pl text = { word, strlen(word) };
	uint64_t n;

	if (!uint_parse(&n, &text, LEVEL_DETAIL))
		return (int)n;
	if (!strcasecmp(word, "NONE"))
		return LEVEL_ZERO;
	for (int i = 0; i <= LEVEL_DETAIL; i++) {
		if (!strcasecmp(word, level_names[i]))
			return i;
	}

	return -1;
}

const char *log_level_name(enum log_level level)
{
	return level <= LEVEL_DETAIL ? level_names[level] : "?";
}

const char *log_component_name(enum log_component c)
{
	return c < LOG_COMPONENTS ? component_names[c] : "?";
}

bool log_on(enum log_component c, enum log_level level)
{
	return level != LEVEL_ZERO && c < LOG_COMPONENTS &&
	       (unsigned)level <=
		       atomic_load_explicit(&levels[c], memory_order_relaxed);
}

void log_line(enum log_component c, enum log_level level, const char *event,
	      const char *fmt, ...)
{
	char line[LINE_BYTES];
	/* Room for the end of the line stays free */
	struct out o = { line, 0, sizeof(line) - 3 };
	struct head head = { 0, (uint8_t)level, (uint8_t)c };
	va_list ap;

	put_begin(&o, c, level, event);
	va_start(ap, fmt);
	put_fields(&o, fmt, ap);
	va_end(ap);
	o.size = sizeof(line);
	put_text(&o, atomic_load(&json) ? "}\n" : "\n");
	head.length = (uint16_t)o.used;

	(void)pthread_mutex_lock(&lock);
	if (!running) {
		write_all(STDERR_FILENO, line, o.used);
	} else if (front->used + sizeof(head) + o.used > RING_BYTES) {
		lost++;
	} else {
		memcpy(front->bytes + front->used, &head, sizeof(head));
		memcpy(front->bytes + front->used + sizeof(head), line, o.used);
		if (!front->used)
			(void)pthread_cond_signal(&wake);
		front->used += sizeof(head) + o.used;
	}
	(void)pthread_mutex_unlock(&lock);
}

/* The place of an event in the table; the table is larger than the number of
 * events that strangers can cause. When it is full anyway, places are shared */
static struct event *event_place(const char *name)
{
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		if (!events[i].name)
			events[i].name = name;
		if (!strcmp(events[i].name, name))
			return &events[i];
	}

	return &events[EVENTS_MAX - 1];
}

bool log_admit(const char *name)
{
	int64_t now = second_now();
	unsigned before = 0;
	struct event *e;
	bool yes;

	(void)pthread_mutex_lock(&lock);
	e = event_place(name);
	if (e->second != now) {
		before = e->seen > ADMITTED ? e->seen - ADMITTED : 0;
		e->second = now;
		e->seen = 0;
	}
	if (e->seen < UINT32_MAX)
		e->seen++;
	yes = e->seen <= ADMITTED;
	(void)pthread_mutex_unlock(&lock);

	if (before)
		log_warning(SIPD, "log-limited", "limited=%s count=%u", name,
			    before);

	return yes;
}
