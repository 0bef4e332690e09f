/*
 * Answer lines with a code, tables, filters, JSON
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "cli/reply.h"

int reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	r->mb = mbuf_alloc(1024);
	return r->mb ? 0 : ENOMEM;
}

void reply_finish(struct reply *r)
{
	r->mb = mem_deref(r->mb);
}

static bool contains(const char *text, size_t n, const struct pl *what)
{
	return !what->l || memmem(text, n, what->p, what->l);
}

/* Out of memory loses output, never the connection: the end is still sent */
static void put(struct reply *r, enum reply_code code, char mark,
		const char *text, size_t n)
{
	(void)mbuf_printf(r->mb, "%04u%c", (unsigned)code, mark);
	(void)mbuf_write_mem(r->mb, (const uint8_t *)text, n);
	(void)mbuf_write_u8(r->mb, '\n');
}

static void put_text(struct reply *r, const char *text)
{
	while (*text) {
		const char *end = strchr(text, '\n');
		size_t n = end ? (size_t)(end - text) : strlen(text);

		if (contains(text, n, &r->only))
			put(r, REPLY_OUTPUT, '-', text, n);
		text += n + (end ? 1 : 0);
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
		put_text(r, text);
	else if (!r->only.l)
		put(r, REPLY_OUTPUT, '-', "", 0);
	mem_deref(text);
}

void reply_print(struct reply *r, re_printf_h *h, const void *arg)
{
	char *text = NULL;

	if (!re_sdprintf(&text, "%H", h, arg))
		put_text(r, text);
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

void reply_add(struct reply *r, const struct reply *more)
{
	(void)mbuf_write_mem(r->mb, more->mb->buf, more->mb->end);
	r->failed |= more->failed;
}

void reply_end(struct reply *r, const char *prompt)
{
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
