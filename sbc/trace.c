/*
 * Copies of SIP messages to sipmsg.log and pcap files, and the steps of a call
 *
 * Two buffers, as in store/log: messages go into the one, the writer empties the
 * other. The steps are a ring of fixed size; both are there while tracing is on
 * and are given back by the end of the process only, so that a ladder can still
 * be read after `nosiplog`.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/hash.h"
#include "store/log.h"
#include "store/rotate.h"
#include "realms/realms.h"
#include "sbc/alarm.h"
#include "sbc/capture.h"
#include "sbc/clock.h"
#include "sbc/trace.h"

enum {
	BUFFER_BYTES = 4 << 20,
	STEPS = 16384, /* remembered */
	FILE_BYTES = 100 * 1000 * 1000,
	FILES_KEPT = 10,
	NAME_MAX_BYTES = 4096,
	IDS = 8 /* Call-IDs of one question */
};

/* A message in the buffer; its bytes follow */
struct head {
	uint64_t wall; /* [ms] */
	struct sa local, peer;
	uint32_t length;
	uint8_t transport;
	bool out, full;
	char realm[32];
};

struct buffer {
	size_t used;
	unsigned char *bytes;
};

struct kept {
	struct trace_step step;
	uint64_t callid; /* its hash */
};

atomic_bool trace_wanted;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
/* Under the lock */
static struct buffer buffers[2], *front = &buffers[0];
static struct kept *steps; /* ring of STEPS */
static uint64_t steps_n;
static unsigned long lost;
static bool running, stopping, reopen;
static _Atomic enum trace_mode mode;
static char folder[NAME_MAX_BYTES - 32];

/* Of the writer */
static pthread_t writer;
static int file = -1;
static size_t file_size;
static char file_path[NAME_MAX_BYTES];
static bool failing;
static struct capture *capture; /* changed while there is no writer */
static int capture_failing;

/* --- The file ------------------------------------------------------------- */

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
		(void)close(file); /* what could be written is */
	file = fd;
	return 0;
}

static void file_rotate(void)
{
	rotate(file_path, FILES_KEPT);
	(void)file_open(); /* else the old one goes on being written */
}

static void fails(int err)
{
	if (err && !failing)
		alarm_raise("log-write-failed", ALARM_MINOR, "sipmsg.log", "%s",
			    strerror(err));
	else if (!err && failing)
		alarm_clear("log-write-failed", "sipmsg.log");
	failing = err;
}

static void file_write(const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(file, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			fails(done ? errno : EIO);
			return;
		}
		p += done;
		n -= (size_t)done;
		file_size += (size_t)done;
	}
	fails(0);
}

/* --- What is in a message --------------------------------------------------- */

/* Length of the header section with its empty line; all without one */
static size_t headers_length(const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4);

	if (!end)
		end = memmem(p, n, "\n\n", 2);
	return end ? (size_t)(end - p) : n;
}

/* Value of the first line with this name, or this letter */
static struct pl header_find(const char *p, size_t n, const char *name,
			     char letter)
{
	const size_t length = strlen(name);
	struct pl value = { NULL, 0 };
	const char *end = p + n;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *next = lf ? lf + 1 : end;
		size_t at = 0;

		if (next - p > (ptrdiff_t)length &&
		    !strncasecmp(p, name, length))
			at = length;
		else if (letter && next - p > 2 && (*p | 0x20) == letter)
			at = 1;
		while (at && p + at < next && (p[at] == ' ' || p[at] == '\t'))
			at++;
		if (at && p + at < next && p[at] == ':') {
			value.p = p + at + 1;
			value.l = (size_t)(next - value.p);
			break;
		}
		p = next;
	}
	while (value.l && (*value.p == ' ' || *value.p == '\t')) {
		value.p++;
		value.l--;
	}
	while (value.l && strchr("\r\n \t", value.p[value.l - 1]))
		value.l--;

	return value;
}

/* Digest responses of the header section, those of both sides, become asterisks
 * of the same number, in place */
void trace_mask(char *p, size_t n)
{
	static const char *const names[] = { "response", "rspauth" };
	const size_t length = headers_length(p, n);

	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		const size_t l = strlen(names[k]);

		for (size_t i = 1; i + l < length; i++) {
			bool quoted;

			if (!strchr(", \t\n", p[i - 1]) ||
			    strncasecmp(p + i, names[k], l) != 0)
				continue;
			i += l;
			while (i < length && (p[i] == ' ' || p[i] == '\t'))
				i++;
			if (i >= length || p[i] != '=')
				continue;
			i++;
			while (i < length && (p[i] == ' ' || p[i] == '\t'))
				i++;
			quoted = i < length && p[i] == '"';
			for (i += quoted;
			     i < length &&
			     (quoted ? p[i] != '"' : !strchr(", \t\r\n", p[i]));
			     i++)
				p[i] = '*';
		}
	}
}

static void text_copy(char *to, size_t size, const char *p, size_t n)
{
	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(to, p, n);
	to[n] = '\0';
}

/* "INVITE" of a request, "407 Proxy Authentication Required" of an answer: never
 * the Request-URI */
static void what_copy(char to[48], const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	n = end ? (size_t)(end - p) : n;
	if (n && p[n - 1] == '\r')
		n--;
	if (n > 8 && !memcmp(p, "SIP/2.0 ", 8)) {
		text_copy(to, 48, p + 8, n - 8);
		return;
	}
	end = memchr(p, ' ', n);
	text_copy(to, 48, p, end ? (size_t)(end - p) : n);
}

static void step_keep(const struct head *h, const char *p)
{
	const size_t n = headers_length(p, h->length);
	struct pl callid = header_find(p, n, "Call-ID", 'i');
	struct pl cseq = header_find(p, n, "CSeq", '\0');
	struct kept k = { .callid = callid.l ? hash_bytes(callid.p, callid.l)
					     : 0 };
	const char *method;

	if (!callid.l)
		return;
	k.step.wall = h->wall;
	k.step.peer = h->peer;
	k.step.transport = h->transport;
	k.step.out = h->out;
	memcpy(k.step.realm, h->realm, sizeof(k.step.realm));
	what_copy(k.step.what, p, n);
	for (size_t i = 0; i < cseq.l && cseq.p[i] >= '0' && cseq.p[i] <= '9';
	     i++)
		k.step.cseq = k.step.cseq * 10 + (uint32_t)(cseq.p[i] - '0');
	method = cseq.l ? memrchr(cseq.p, ' ', cseq.l) : NULL;
	if (method)
		text_copy(k.step.method, sizeof(k.step.method), method + 1,
			  (size_t)(cseq.p + cseq.l - method - 1));

	(void)pthread_mutex_lock(&lock);
	if (steps)
		steps[steps_n++ % STEPS] = k;
	(void)pthread_mutex_unlock(&lock);
}

/* --- The writer -------------------------------------------------------------- */

static const char rule[] =
	"----------------------------------------------------------------\n";

static void message_write(const struct head *h, char *p)
{
	char title[256], when[32];
	int n;

	clock_stamp(when, h->wall);
	n = re_snprintf(title, sizeof(title), "%s%s On [%s]%J%s%s %s %J\n",
			rule, when, h->realm, &h->local,
			h->transport == TRANSPORT_UDP ? "" : "/",
			h->transport == TRANSPORT_UDP
				? ""
				: transport_name((enum transport)h->transport),
			h->out ? "sent to" : "received from", &h->peer);
	if (n > 0)
		file_write(title, (size_t)n);
	if (!h->full)
		trace_mask(p, h->length);
	file_write(p, h->length);
	if (!h->length || p[h->length - 1] != '\n')
		file_write("\n", 1);
	if (file_size >= FILE_BYTES)
		file_rotate();
}

static void packet_write(const struct head *h, const char *p)
{
	const struct capture_message m = {
		.wall = h->wall,
		.from = h->out ? &h->local : &h->peer,
		.to = h->out ? &h->peer : &h->local,
		.p = p,
		.n = h->length,
	};
	int err = capture_write(capture, &m);

	if (err && err != capture_failing)
		alarm_raise("log-write-failed", ALARM_MINOR, "pcap", "%s",
			    strerror(err));
	else if (!err && capture_failing)
		alarm_clear("log-write-failed", "pcap");
	capture_failing = err;
}

static void buffer_write(struct buffer *b)
{
	for (size_t at = 0; at < b->used;) {
		struct head h;
		char *p = (char *)b->bytes + at + sizeof(h);

		memcpy(&h, b->bytes + at, sizeof(h));
		step_keep(&h, p);
		if (capture)
			packet_write(&h, p);
		if (file >= 0)
			message_write(&h, p);
		at += sizeof(h) + h.length;
	}
	b->used = 0;
}

static void *run(void *arg)
{
	bool more = true;
	(void)arg;

	while (more) {
		struct buffer *full;
		unsigned long missed;
		bool again;

		(void)pthread_mutex_lock(&lock);
		while (!front->used && !stopping && !reopen)
			(void)pthread_cond_wait(&wake, &lock);
		full = front;
		front = front == &buffers[0] ? &buffers[1] : &buffers[0];
		again = reopen;
		reopen = false;
		missed = lost;
		lost = 0;
		more = !stopping;
		(void)pthread_mutex_unlock(&lock);

		if (again)
			(void)file_open(); /* else the old one goes on */
		buffer_write(full);
		if (missed)
			log_error(SIPD, "siplog-full", "count=%lu", missed);
	}
	return NULL;
}

/* --- From outside ------------------------------------------------------------- */

void trace_folder(const char *path)
{
	(void)pthread_mutex_lock(&lock);
	text_copy(folder, sizeof(folder), path, strlen(path));
	(void)pthread_mutex_unlock(&lock);
}

enum trace_mode trace_mode(void)
{
	return mode;
}

static int thread_start(void)
{
	sigset_t all, before;
	int err;

	if (!folder[0])
		return ENOENT;
	if (mkdir(folder, 0750) && errno != EEXIST)
		return errno;
	if (mode != TRACE_OFF) {
		(void)snprintf(file_path, sizeof(file_path), "%s/sipmsg.log",
			       folder);
		err = file_open();
		if (err)
			return err;
	}
	for (int i = 0; i < 2; i++) {
		if (!buffers[i].bytes)
			buffers[i].bytes = malloc(BUFFER_BYTES);
		if (!buffers[i].bytes)
			return ENOMEM;
	}
	if (!steps)
		steps = calloc(STEPS, sizeof(*steps));
	if (!steps)
		return ENOMEM;

	/* Signals belong to the front */
	stopping = false;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&writer, NULL, run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	running = !err;
	return err;
}

/* What was copied is written, then the file is closed */
static void thread_stop(void)
{
	(void)pthread_mutex_lock(&lock);
	stopping = true;
	(void)pthread_cond_signal(&wake);
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_join(writer, NULL);
	buffer_write(front); /* came while it stopped */
	running = false;
	if (file >= 0)
		(void)close(file);
	file = -1;
	fails(0);
}

/* Of what is wanted: sipmsg.log, a capture, both. 0; errno: then nothing is */
static int thread_follow(void)
{
	int err = 0;

	if (running)
		thread_stop();
	if (mode != TRACE_OFF || capture)
		err = thread_start();
	if (err && file >= 0) {
		(void)close(file);
		file = -1;
	}
	atomic_store(&trace_wanted, running);
	return err;
}

int trace_set(enum trace_mode wanted)
{
	bool opens = (wanted == TRACE_OFF) != (mode == TRACE_OFF);
	int err;

	mode = wanted;
	if (!opens)
		return 0;
	err = thread_follow();
	if (err) {
		mode = TRACE_OFF;
		(void)thread_follow(); /* the capture goes on */
	}
	return err;
}

static int capture_begin(struct capture **cp, const char *name,
			 const struct sa *only)
{
	char path[NAME_MAX_BYTES];

	if (!folder[0])
		return ENOENT;
	if (!*name || *name == '.' || strchr(name, '/') || strlen(name) > 255)
		return EINVAL;
	if (mkdir(folder, 0750) && errno != EEXIST)
		return errno;
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >=
	    (int)sizeof(path))
		return ENAMETOOLONG;
	return capture_open(cp, path, only);
}

int trace_capture(const char *name, const struct sa *only)
{
	struct capture *next = NULL;
	int err = name ? capture_begin(&next, name, only) : 0;

	if (err)
		return err;
	if (running)
		thread_stop();
	capture_close(capture);
	capture = next;
	if (capture_failing)
		alarm_clear("log-write-failed", "pcap");
	capture_failing = 0;
	err = thread_follow();
	if (err && capture) {
		capture_close(capture);
		capture = NULL;
		(void)thread_follow();
	}
	return err;
}

bool trace_is_capturing(void)
{
	return capture != NULL;
}

void trace_reopen(void)
{
	(void)pthread_mutex_lock(&lock);
	reopen = running;
	(void)pthread_cond_signal(&wake);
	(void)pthread_mutex_unlock(&lock);
}

void trace_close(void)
{
	(void)trace_capture(NULL, NULL);
	(void)trace_set(TRACE_OFF);
	for (int i = 0; i < 2; i++) {
		free(buffers[i].bytes);
		buffers[i].bytes = NULL;
	}
	free(steps);
	steps = NULL;
	steps_n = 0;
}

void trace_message(const struct trace_message *m)
{
	struct head h = {
		.wall = clock_wall_ms(),
		.local = *m->local,
		.peer = *m->peer,
		.length = (uint32_t)m->bytes.l,
		.transport = m->transport,
		.out = m->out,
		.full = mode == TRACE_FULL,
	};

	text_copy(h.realm, sizeof(h.realm), m->realm, strlen(m->realm));
	(void)pthread_mutex_lock(&lock);
	if (!front->bytes || stopping ||
	    BUFFER_BYTES - front->used < sizeof(h) + m->bytes.l) {
		lost++;
	} else {
		memcpy(front->bytes + front->used, &h, sizeof(h));
		memcpy(front->bytes + front->used + sizeof(h), m->bytes.p,
		       m->bytes.l);
		if (!front->used)
			(void)pthread_cond_signal(&wake);
		front->used += sizeof(h) + m->bytes.l;
	}
	(void)pthread_mutex_unlock(&lock);
}

void trace_walk(const char *const *callids, trace_h *h, void *arg)
{
	uint64_t next = 0, end, hashes[IDS];
	size_t n = 0;

	for (; n < IDS && callids[n]; n++)
		hashes[n] = *callids[n]
				    ? hash_bytes(callids[n], strlen(callids[n]))
				    : 0;
	(void)pthread_mutex_lock(&lock);
	end = steps_n;
	(void)pthread_mutex_unlock(&lock);

	for (next = end > STEPS ? end - STEPS : 0; next < end; next++) {
		struct kept k = { .callid = 0 };

		(void)pthread_mutex_lock(&lock);
		/* The ring went on meanwhile: what is overwritten is gone */
		if (steps && steps_n - next <= STEPS)
			k = steps[next % STEPS];
		(void)pthread_mutex_unlock(&lock);
		for (size_t i = 0; k.callid && i < n; i++) {
			if (hashes[i] == k.callid) {
				h(&k.step, callids[i], arg);
				break;
			}
		}
	}
}
