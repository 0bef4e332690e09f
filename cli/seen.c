/*
 * show credentials seen: who challenged us, and what answered
 */
#include <string.h>
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/sbc.h"
#include "sbc/worker.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/seen.h"

enum {
	SLICE = 200 /* rows of one question to the worker */
};

struct seen_list {
	struct session *s;
	const char *realm; /* only this one; or NULL */
	uint64_t ms, wall; /* now, by both clocks */
	struct cut cut;
};

static const struct column columns[] = {
	{ "Realm", -16 },      { "Target", -22 }, { "Auth-Realm", -32 },
	{ "Algorithms", -24 }, { "Count", 8 },    { "Last", -20 },
	{ "Answered By", 0 },  { NULL, 0 },
};

/* "MD5,SHA-256" */
static void algorithms_write(char *buf, size_t size, unsigned bits)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int a = 0; a < DIGEST_UNKNOWN; a++) {
		const char *name;

		if (!(bits & 1u << a))
			continue;
		name = digest_algorithm_name((enum digest_algorithm)a);
		if (at + strlen(name) + 2 > size)
			return;
		if (at)
			buf[at++] = ',';
		memcpy(buf + at, name, strlen(name) + 1);
		at += strlen(name);
	}
}

static void row(const struct challenger_report *r, void *arg)
{
	struct seen_list *list = arg;
	char target[64], algorithms[96];
	const struct cell cells[] = {
		TEXT_CELL(r->realm),
		TEXT_CELL(target),
		TEXT_CELL(r->auth_realm),
		TEXT_CELL(algorithms),
		NUMBER_CELL(r->registers + r->others),
		TIME_CELL(list->wall - (list->ms - r->last) / 1000),
		TEXT_CELL(credential_by_name(r->by)),
	};

	if (list->realm && strcmp(list->realm, r->realm))
		return;
	if (!cut_row(&list->cut))
		return;
	(void)re_snprintf(target, sizeof(target), "%J", &r->addr);
	algorithms_write(algorithms, sizeof(algorithms), r->algorithms);
	table_row(&list->s->reply, columns, cells);
}

static void join(struct worker *w, void *arg)
{
	challengers_join(arg, w->challengers);
}

void show_credentials_seen(struct session *s, const struct words *w,
			   uint32_t at)
{
	struct seen_list list = { .s = s,
				  .ms = clock_ms(),
				  .wall = clock_wall() };
	struct challengers *all;
	struct words rest;

	if (!cut_words(&list.cut, &s->reply, w, at, &rest))
		return;
	w = &rest;
	if (at + 1 < w->n && !strcmp(w->v[at], "realm")) {
		list.realm = w->v[at + 1];
		at += 2;
	}
	if (at < w->n) {
		reply_error(
			&s->reply, REPLY_UNKNOWN,
			"Unknown word [%s], possible here: limit N, realm R",
			w->v[at]);
		return;
	}
	if (challengers_alloc(&all)) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, columns);
	sbc_ask(s->sbc, join, all);
	(void)challengers_walk(all, 0, SIZE_MAX, row, &list);
	mem_deref(all);
	table_end(&s->reply);
	(void)cut_end(&list.cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}
