/*
 * Answer lines with a code, filters
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "cli/choices.h"
#include "cli/reply.h"
#include "cli/words.h"

enum {
	FILTERS = 8
};

enum filter_kind {
	INCLUDE,
	EXCLUDE,
	BEGIN,
	COUNT,
	SAVE,
	NO_MORE,
	JSON
};

struct filter {
	enum filter_kind kind;
	char *text; /* looked for; name of a file */
	bool begun;
	uint64_t count;
	struct mbuf *saved;
};

struct filters {
	struct filter v[FILTERS];
	uint32_t n;
};

/* clang-format off */
static const struct {
	const char *name, *help;
	bool text;
} filter_names[] = {
	[INCLUDE] = { "include", "Lines with TEXT", true },
	[EXCLUDE] = { "exclude", "Lines without TEXT", true },
	[BEGIN]   = { "begin",   "From the first line with TEXT on", true },
	[COUNT]   = { "count",   "How many lines", false },
	[SAVE]    = { "save",    "Into FILE, mode 0600", true },
	[NO_MORE] = { "no-more", "Without pages", false },
	[JSON]    = { "json",    "One JSON document; stands first", false },
};
/* clang-format on */
enum {
	FILTER_NAMES = sizeof(filter_names) / sizeof(filter_names[0])
};

int reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	r->mb = mbuf_alloc(1024);
	return r->mb ? 0 : ENOMEM;
}

void reply_finish(struct reply *r)
{
	if (r->wiped && r->mb)
		explicit_bzero(r->mb->buf, r->mb->size);
	r->mb = mem_deref(r->mb);
	r->filters = mem_deref(r->filters);
	r->doc = mem_deref(r->doc);
	r->change = mem_deref(r->change);
}

/* Out of memory loses output, never the connection: the end is still sent */
static void put(struct reply *r, enum reply_code code, char mark,
		const char *text, size_t n)
{
	(void)mbuf_printf(r->mb, "%04u%c", (unsigned)code, mark);
	(void)mbuf_write_mem(r->mb, (const uint8_t *)text, n);
	(void)mbuf_write_u8(r->mb, '\n');
}

/* Through the filters from the i-th on. A task has those of its session: only one
 * of both writes at a time */
static void pass(struct reply *r, uint32_t i, const char *text, size_t n)
{
	for (; r->filters && i < r->filters->n; i++) {
		struct filter *f = &r->filters->v[i];
		bool found =
			f->text && memmem(text, n, f->text, strlen(f->text));

		switch (f->kind) {

		case INCLUDE:
			if (!found)
				return;
			break;
		case EXCLUDE:
			if (found)
				return;
			break;
		case BEGIN:
			f->begun |= found;
			if (!f->begun)
				return;
			break;
		case COUNT:
			f->count++;
			return;
		case SAVE:
			(void)mbuf_write_mem(f->saved, (const uint8_t *)text,
					     n);
			(void)mbuf_write_u8(f->saved, '\n');
			return;
		case NO_MORE:
		case JSON:
			break;
		}
	}
	put(r, REPLY_OUTPUT, '-', text, n);
}

void reply_text(struct reply *r, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t l = end ? (size_t)(end - text) : n;

		pass(r, 0, text, l);
		text += l + (end ? 1 : 0);
		n -= l + (end ? 1 : 0);
	}
}

static void filters_destructor(void *arg)
{
	struct filters *filters = arg;

	for (uint32_t i = 0; i < filters->n; i++) {
		mem_deref(filters->v[i].text);
		mem_deref(filters->v[i].saved);
	}
}

/* One filter: its words up to the next bar */
static int filter_read(struct reply *r, const struct words *w)
{
	struct filters *filters = r->filters;
	struct filter *f = &filters->v[filters->n];
	struct choices c = { 0 };
	struct choices_list list = { &c, NULL };
	const struct choice *picked = NULL;
	uint32_t wanted;
	int err;

	for (size_t i = 0; i < FILTER_NAMES; i++)
		choices_word(&c, CHOICE_COMMAND, filter_names[i].name,
			     filter_names[i].help, &filter_names[i]);
	err = w->n ? choices_pick(&c, w->v[0], &picked) : ENOENT;
	if (err) {
		reply_error(r, err == EEXIST ? REPLY_AMBIGUOUS : REPLY_UNKNOWN,
			    "%s filter [%s], possible here: %H",
			    err == EEXIST ? "Ambiguous" : "Unknown",
			    w->n ? w->v[0] : "", choices_print, &list);
		choices_clear(&c);
		return EINVAL;
	}
	f->kind = (enum filter_kind)(
		(const typeof(filter_names[0]) *)picked->what - filter_names);
	choices_clear(&c);

	wanted = filter_names[f->kind].text ? 2 : 1;
	if (w->n != wanted) {
		reply_error(r, REPLY_ARGUMENT,
			    w->n < wanted ? "Missing %s"
					  : "Unexpected word [%s]",
			    w->n < wanted ? f->kind == SAVE ? "FILE" : "TEXT"
					  : w->v[wanted]);
		return EINVAL;
	}
	if (f->kind == SAVE && !(f->saved = mbuf_alloc(4096)))
		return ENOMEM;
	if (wanted == 2 && str_dup(&f->text, w->v[1])) {
		f->saved = mem_deref(f->saved);
		return ENOMEM;
	}
	if (f->kind == JSON && filters->n) {
		reply_error(r, REPLY_ARGUMENT, "Filter json stands first");
		return EINVAL;
	}
	r->json |= f->kind == JSON;
	filters->n++;
	if (f->kind == NO_MORE || f->kind == SAVE)
		reply_note(r, REPLY_NO_MORE, "");
	return 0;
}

void reply_filters_add(struct choices *c, bool first)
{
	for (size_t i = 0; i < FILTER_NAMES; i++)
		if (first || i != JSON)
			choices_word(c, CHOICE_VALUE, filter_names[i].name,
				     filter_names[i].help, NULL);
}

int reply_filter(struct reply *r, char *text)
{
	int err = 0;

	if (!text)
		return 0;
	if (!r->filters)
		r->filters =
			mem_zalloc(sizeof(*r->filters), filters_destructor);
	while (r->filters && text && !err) {
		struct words w;

		if (words_cut(&w, text) || r->filters->n == FILTERS) {
			reply_error(r, REPLY_ARGUMENT,
				    r->filters->n == FILTERS
					    ? "Too many filters"
					    : "A quote is open");
			return EINVAL;
		}
		text = w.filter;
		err = filter_read(r, &w);
	}
	if (!r->filters || err == ENOMEM)
		reply_error(r, REPLY_FAILED, "no memory");
	return r->filters ? err : ENOMEM;
}

/* What the filters kept up to now goes on: numbers, files */
static void filters_end(struct reply *r)
{
	struct filters *filters = r->filters;

	for (uint32_t i = 0; filters && i < filters->n; i++) {
		struct filter *f = &filters->v[i];
		struct pl bytes;
		char number[32];
		int n;

		if (f->kind == COUNT) {
			n = re_snprintf(number, sizeof(number), "%llu",
					(unsigned long long)f->count);
			pass(r, i + 1, number, n > 0 ? (size_t)n : 0);
		} else if (f->kind == SAVE) {
			bytes.p = (const char *)f->saved->buf;
			bytes.l = f->saved->end;
			(void)reply_file(r, f->text, &bytes);
			return;
		}
	}
}

void reply_line(struct reply *r, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = re_vsdprintf(&text, fmt, ap);
	va_end(ap);
	if (err)
		return;
	if (*text)
		reply_text(r, text, strlen(text));
	else
		pass(r, 0, "", 0);
	mem_deref(text);
}

void reply_print(struct reply *r, re_printf_h *h, const void *arg)
{
	char *text = NULL;

	if (!re_sdprintf(&text, "%H", h, arg))
		reply_text(r, text, strlen(text));
	mem_deref(text);
}

void reply_error(struct reply *r, enum reply_code code, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = re_vsdprintf(&text, fmt, ap);
	va_end(ap);

	reply_flush(r);
	put(r, code, ' ', err ? "no memory" : text,
	    err ? strlen("no memory") : strlen(text));
	r->failed = true;
	r->last = code;
	mem_deref(text);
}

void reply_ask(struct reply *r, enum reply_code code, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = re_vsdprintf(&text, fmt, ap);
	va_end(ap);
	if (!err)
		put(r, code, ' ', text, strlen(text));
	r->asked = code;
	mem_deref(text);
}

int reply_file(struct reply *r, const char *name, const struct pl *bytes)
{
	int err = mbuf_printf(r->mb, "%04u-%zu %s\n", (unsigned)REPLY_TAKE_FILE,
			      bytes->l, name);

	if (!err)
		err = mbuf_write_pl(r->mb, bytes);
	return err;
}

void reply_change(struct reply *r, const char *fmt, ...)
{
	va_list ap;

	if (r->change)
		(void)mbuf_write_str(r->change, "; ");
	else
		r->change = mbuf_alloc(256);
	if (!r->change)
		return;
	va_start(ap, fmt);
	(void)mbuf_vprintf(r->change, fmt, ap);
	va_end(ap);
}

void reply_part(struct reply *r, struct reply_part *part)
{
	struct mbuf *mb = mbuf_alloc(4096);
	struct mbuf *doc = r->doc ? mbuf_alloc(4096) : NULL;

	*part = (struct reply_part){ .mb = NULL };
	if (!mb || (r->doc && !doc)) {
		/* As it is, then */
		mem_deref(mb);
		mem_deref(doc);
		return;
	}
	part->mb = r->mb;
	part->doc = r->doc;
	part->filters = r->filters;
	/* The last byte says whether a comma is due (cli/json) */
	if (doc && r->doc->end) {
		(void)mbuf_write_u8(doc, r->doc->buf[r->doc->end - 1]);
		part->begun = 1;
	}
	r->mb = mb;
	r->doc = doc;
	r->filters = NULL;
}

/* Lines of output once more, this time through the filters */
static void lines_pass(struct reply *r, const char *p, size_t n)
{
	const char *end;
	char code[8];

	(void)snprintf(code, sizeof(code), "%04u-", (unsigned)REPLY_OUTPUT);
	for (; n; n -= (size_t)(end - p) + 1, p = end + 1) {
		end = memchr(p, '\n', n);
		if (!end)
			return;
		if (n > 5 && !memcmp(p, code, 5))
			pass(r, 0, p + 5, (size_t)(end - p) - 5);
		else
			(void)mbuf_write_mem(r->mb, (const uint8_t *)p,
					     (size_t)(end - p) + 1);
	}
}

void reply_join(struct reply *r, struct reply_part *part)
{
	struct mbuf *mb = r->mb, *doc = r->doc;

	if (!part->mb)
		return;
	r->mb = part->mb;
	r->doc = part->doc;
	r->filters = part->filters;
	if (r->filters)
		lines_pass(r, (const char *)mb->buf, mb->end);
	else
		(void)mbuf_write_mem(r->mb, mb->buf, mb->end);
	if (!r->doc) {
		r->doc = doc; /* it began there */
		doc = NULL;
	}
	if (doc)
		(void)mbuf_write_mem(r->doc, doc->buf + part->begun,
				     doc->end - part->begun);
	mem_deref(mb);
	mem_deref(doc);
}

void reply_add(struct reply *r, const struct reply *more)
{
	if (more->change)
		reply_change(r, "%b", more->change->buf, more->change->end);
	(void)mbuf_write_mem(r->mb, more->mb->buf, more->mb->end);
	r->failed |= more->failed;
	r->wiped |= more->wiped;
	if (more->asked)
		r->asked = more->asked;
}

void reply_note(struct reply *r, enum reply_code code, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = re_vsdprintf(&text, fmt, ap);
	va_end(ap);
	if (!err)
		put(r, code, '-', text, strlen(text));
	mem_deref(text);
}

void reply_flush(struct reply *r)
{
	struct mbuf *doc = r->doc;

	r->doc = NULL;
	if (doc)
		reply_text(r, (const char *)doc->buf, doc->end);
	mem_deref(doc);
}

void reply_end(struct reply *r, const char *prompt)
{
	reply_flush(r);
	if (!r->failed)
		filters_end(r);
	if (!r->failed)
		put(r, REPLY_DONE, ' ', prompt, strlen(prompt));
}

int duration_print(struct re_printf *pf, const struct duration *d)
{
	uint64_t s = d->s;

	if (s >= 86400)
		return re_hprintf(pf, "%llud %lluh", s / 86400,
				  s % 86400 / 3600);
	if (s >= 3600)
		return re_hprintf(pf, "%lluh %llum", s / 3600, s % 3600 / 60);
	if (s >= 60)
		return re_hprintf(pf, "%llum %llus", s / 60, s % 60);
	return re_hprintf(pf, "%llus", s);
}
