/*
 * One JSON document as an answer, and tables that are text or JSON
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include "store/number.h"
#include "sbc/clock.h"
#include "cli/json.h"

/* --- Texts --------------------------------------------------------------- */

static int quote(struct re_printf *pf, const char *p, size_t n)
{
	int err = pf->vph("\"", 1, pf->arg);
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\')
			continue;
		err |= pf->vph(p + from, i - from, pf->arg);
		from = i + 1;
		if (c == '"' || c == '\\')
			err |= re_hprintf(pf, "\\%c", c);
		else
			err |= re_hprintf(pf, "\\u%04x", c);
	}
	err |= pf->vph(p + from, n - from, pf->arg);

	return err | pf->vph("\"", 1, pf->arg);
}

int json_quote(struct re_printf *pf, const char *text)
{
	return quote(pf, text, strlen(text));
}

static int pl_quote(struct re_printf *pf, const struct pl *pl)
{
	return quote(pf, pl->l ? pl->p : "", pl->l);
}

/* "Session Agent" is session-agent; brackets and dots are left out */
static int name_print(struct re_printf *pf, const char *name)
{
	bool gap = false;
	int err = 0;

	for (; *name; name++) {
		char c = (char)tolower((unsigned char)*name);

		/* "Now %" is now */
		if (c == ' ' || c == '/' || c == '_' || c == '-') {
			gap = true;
		} else if (isalnum((unsigned char)c)) {
			if (gap)
				err |= pf->vph("-", 1, pf->arg);
			gap = false;
			err |= pf->vph(&c, 1, pf->arg);
		}
	}

	return err;
}

/* --- The document --------------------------------------------------------- */

/* A comma behind what is not an opening, and the name. Out of memory loses
 * output, never the connection */
static void member(struct reply *r, const char *name)
{
	char last = r->doc->end ? (char)r->doc->buf[r->doc->end - 1] : '{';

	if (!strchr("{[:", last))
		(void)mbuf_write_u8(r->doc, ',');
	if (name)
		(void)mbuf_printf(r->doc, "\"%H\":", name_print, name);
}

void json_begin(struct reply *r, const char *command, uint32_t window)
{
	char time[25];

	if (r->nested) {
		if (r->doc)
			member(r, command);
		return;
	}
	clock_rfc3339(time, clock_wall_ms());
	time[19] = '\0';
	mem_deref(r->doc);
	r->doc = mbuf_alloc(1024);
	if (!r->doc)
		return;
	(void)mbuf_printf(r->doc, "{\"v\":1,\"command\":%H,\"time\":\"%sZ\"",
			  json_quote, command, time);
	if (window != JSON_NO_WINDOW)
		(void)mbuf_printf(r->doc, ",\"window\":%u", window);
	(void)mbuf_write_str(r->doc, ",\"data\":");
}

void json_end(struct reply *r)
{
	if (r->doc && !r->nested)
		(void)mbuf_write_str(r->doc, "}\n");
}

void json_open(struct reply *r, const char *name, char what)
{
	bool row;

	if (!r->doc)
		return;
	/* An object in an array begins a line: none gets too long */
	row = !name && what == '{' && r->doc->end &&
	      r->doc->buf[r->doc->end - 1] != ':';
	member(r, name);
	if (row)
		(void)mbuf_write_str(r->doc, "\n ");
	(void)mbuf_write_u8(r->doc, (uint8_t)what);
}

void json_close(struct reply *r, char what)
{
	if (r->doc)
		(void)mbuf_write_u8(r->doc, (uint8_t)what);
}

void json_text(struct reply *r, const char *name, const char *text)
{
	if (!r->doc)
		return;
	member(r, name);
	if (text)
		(void)mbuf_printf(r->doc, "%H", json_quote, text);
	else
		(void)mbuf_write_str(r->doc, "null");
}

void json_pl(struct reply *r, const char *name, const struct pl *text)
{
	if (!r->doc)
		return;
	member(r, name);
	(void)mbuf_printf(r->doc, "%H", pl_quote, text);
}

void json_print(struct reply *r, const char *name, re_printf_h *h,
		const void *arg)
{
	char *text = NULL;

	if (r->doc && !re_sdprintf(&text, "%H", h, arg))
		json_text(r, name, text);
	mem_deref(text);
}

void json_number(struct reply *r, const char *name, int64_t n)
{
	if (!r->doc)
		return;
	member(r, name);
	(void)mbuf_printf(r->doc, "%lld", n);
}

void json_flag(struct reply *r, const char *name, bool on)
{
	if (!r->doc)
		return;
	member(r, name);
	(void)mbuf_write_str(r->doc, on ? "true" : "false");
}

void json_thousandths(struct reply *r, const char *name, uint64_t n)
{
	if (!r->doc)
		return;
	member(r, name);
	(void)mbuf_printf(r->doc, "%llu.%03llu", n / 1000, n % 1000);
}

void json_time(struct reply *r, const char *name, uint64_t wall)
{
	char text[25];

	if (!wall) {
		json_text(r, name, NULL);
		return;
	}
	clock_rfc3339(text, wall * 1000);
	text[19] = 'Z';
	text[20] = '\0';
	json_text(r, name, text);
}

/* --- Tables --------------------------------------------------------------- */

enum {
	LINE_BYTES = 4096
};

struct line {
	char text[LINE_BYTES];
	size_t n;
};

static void line_add(struct line *line, const char *text, size_t n)
{
	if (n > LINE_BYTES - 1 - line->n)
		n = LINE_BYTES - 1 - line->n;
	memcpy(line->text + line->n, text, n);
	line->n += n;
	line->text[line->n] = '\0';
}

/* Columns widen, numbers are never shortened (acli.md 2.2) */
static void line_cell(struct line *line, const struct column *c,
		      const char *text, bool first)
{
	static const char blanks[] = "                                "
				     "                                ";
	size_t width = (size_t)(c->width < 0 ? -c->width : c->width);
	size_t n = strlen(text), pad = width > n ? width - n : 0;

	if (pad > sizeof(blanks) - 1)
		pad = sizeof(blanks) - 1;
	if (!first)
		line_add(line, " ", 1);
	if (c->width > 0)
		line_add(line, blanks, pad);
	line_add(line, text, n);
	if (c->width < 0 && c[1].name)
		line_add(line, blanks, pad);
}

void table_begin(struct reply *r, const char *name,
		 const struct column *columns)
{
	struct line line = { .n = 0 };

	if (r->json) {
		json_open(r, name, '[');
		return;
	}
	for (const struct column *c = columns; c->name; c++)
		line_cell(&line, c, c->name, c == columns);
	reply_line(r, "%s", line.text);
}

static int time_print(struct re_printf *pf, const int64_t *wall)
{
	char text[25];

	if (!*wall)
		return re_hprintf(pf, "-");
	clock_rfc3339(text, (uint64_t)*wall * 1000);
	text[19] = '\0';
	return re_hprintf(pf, "%s", text);
}

static int cell_print(struct re_printf *pf, const struct cell *c)
{
	switch (c->kind) {

	case CELL_NONE:
		return re_hprintf(pf, "-");
	case CELL_TEXT:
		return re_hprintf(pf, "%s",
				  c->text && *c->text ? c->text : "-");
	case CELL_NUMBER:
		return re_hprintf(pf, "%lld", c->n);
	case CELL_SECONDS:
		return re_hprintf(pf, "%llds", c->n);
	case CELL_THOUSANDTHS:
		return re_hprintf(pf, "%lld.%03lld", c->n / 1000, c->n % 1000);
	case CELL_TIME:
		return time_print(pf, &c->n);
	case CELL_FLAG:
		return re_hprintf(pf, "%s", c->n ? "yes" : "no");
	}
	return 0;
}

static void cell_json(struct reply *r, const char *name, const struct cell *c)
{
	switch (c->kind) {

	case CELL_NONE:
		json_text(r, name, NULL);
		break;
	case CELL_TEXT:
		json_text(r, name, c->text);
		break;
	case CELL_NUMBER:
	case CELL_SECONDS:
		json_number(r, name, c->n);
		break;
	case CELL_THOUSANDTHS:
		json_thousandths(r, name, (uint64_t)c->n);
		break;
	case CELL_TIME:
		json_time(r, name, (uint64_t)c->n);
		break;
	case CELL_FLAG:
		json_flag(r, name, c->n);
		break;
	}
}

static void row_json(struct reply *r, const struct column *columns,
		     const struct cell *cells)
{
	json_open(r, NULL, '{');
	for (size_t i = 0; columns[i].name; i++)
		cell_json(r, columns[i].name, &cells[i]);
	json_close(r, '}');
}

void table_row(struct reply *r, const struct column *columns,
	       const struct cell *cells)
{
	struct line line = { .n = 0 };
	char text[1024];

	if (r->json) {
		row_json(r, columns, cells);
		return;
	}
	for (size_t i = 0; columns[i].name; i++) {
		if (re_snprintf(text, sizeof(text), "%H", cell_print,
				&cells[i]) < 0)
			text[sizeof(text) - 1] = '\0';
		line_cell(&line, &columns[i], text, !i);
	}
	reply_line(r, "%s", line.text);
}

void table_end(struct reply *r)
{
	if (r->json)
		json_close(r, ']');
}
