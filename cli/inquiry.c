/*
 * Whom verify asks: this machine, the database, DNS, the worker
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include "store/credentials.h"
#include "store/elements/admin_security.h"
#include "store/password.h"
#include "sbc/challengers.h"
#include "sbc/lookup.h"
#include "sbc/sbc.h"
#include "sbc/worker.h"
#include "cli/inquiry.h"

static int rows(outside_row_h *h, void *to, void *arg)
{
	const struct inquiry *q = arg;

	return credentials_walk(q->db, h, to);
}

static int aors(outside_aor_h *h, void *to, void *arg)
{
	const struct inquiry *q = arg;

	return credentials_walk_aors(q->db, h, to);
}

static int resolve_all(struct outside_name *v, size_t n, void *arg)
{
	const struct inquiry *q = arg;

	return lookup_names(q->cfg, v, n);
}

/* --- Challenges that came ------------------------------------------------ */

enum {
	SLICE = 200 /* rows of one question to the worker */
};

struct pair {
	char *realm, *auth_realm;
};

struct seen {
	struct pair v[CHALLENGERS_KEPT];
	size_t n, next;
	int err;
};

static void seen_destructor(void *arg)
{
	struct seen *seen = arg;

	for (size_t i = 0; i < seen->n; i++) {
		mem_deref(seen->v[i].realm);
		mem_deref(seen->v[i].auth_realm);
	}
}

/* A REGISTER is answered by its agent (behaviour.md 6.1, row 1): no entry is
 * missing for it */
static void seen_take(const struct challenger_report *r, void *arg)
{
	struct seen *seen = arg;
	struct pair *p = &seen->v[seen->n];

	if (!r->others || seen->n == CHALLENGERS_KEPT || seen->err)
		return;
	seen->err = str_dup(&p->realm, r->realm);
	if (!seen->err)
		seen->err = str_dup(&p->auth_realm, r->auth_realm);
	if (seen->err)
		p->realm = mem_deref(p->realm);
	else
		seen->n++;
}

static void seen_join(struct worker *w, void *arg)
{
	challengers_join(arg, w->challengers);
}

static int pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int realm = strcmp(x->realm, y->realm);

	return realm ? realm : strcmp(x->auth_realm, y->auth_realm);
}

static int seen_ask(outside_seen_h *h, void *to, void *arg)
{
	struct inquiry *q = arg;
	struct seen *seen = mem_zalloc(sizeof(*seen), seen_destructor);
	struct challengers *all;
	int err;

	if (!seen)
		return ENOMEM;
	mem_deref(q->seen);
	q->seen = seen; /* the texts stay until the rules have run */
	err = challengers_alloc(&all);
	if (err)
		return err;
	sbc_ask(q->sbc, seen_join, all);
	(void)challengers_walk(all, 0, SIZE_MAX, seen_take, seen);
	mem_deref(all);

	err = seen->err;
	if (seen->n)
		qsort(seen->v, seen->n, sizeof(*seen->v), pair_order);
	for (size_t i = 0; i < seen->n && !err; i++) {
		const struct pair *p = &seen->v[i];

		/* several targets of the realm have the same */
		if (!i || pair_order(&seen->v[i - 1], p))
			err = h(p->realm, p->auth_realm, to);
	}
	return err;
}

/* Somebody but root may become superuser, and no password is asked for */
static bool is_unguarded(const struct inquiry_setup *setup)
{
	const char *name = login_config_of(setup->cfg)->superuser_group;
	char password[PASSWORD_TEXT] = "", text[4096];
	struct group group, *found = NULL;

	if (password_load(password, setup->db) || *password)
		return false;
	return !getgrnam_r(name, &group, text, sizeof(text), &found) && found &&
	       group.gr_mem[0];
}

void inquiry_init(struct inquiry *q, const struct inquiry_setup *setup)
{
	memset(q, 0, sizeof(*q));
	q->db = setup->db;
	q->cfg = setup->cfg;
	q->sbc = setup->sbc;
	q->outside.arg = q;
	q->host.file = setup->file;
	if (setup->host && !outside_host_look(&q->host))
		q->outside.host = &q->host;
	if (setup->dns)
		q->outside.resolve = resolve_all;
	if (setup->sbc)
		q->outside.seen = seen_ask;
	if (!setup->db)
		return;

	if (q->outside.host)
		q->host.unguarded = is_unguarded(setup);
	q->outside.rows = rows;
	q->outside.aors = aors;
	q->host.seal = setup->seal;
	if (!database_beside(setup->db, "sbc.key", q->key, sizeof(q->key)))
		q->host.key_file = q->key;
}

void inquiry_finish(struct inquiry *q)
{
	outside_host_forget(&q->host);
	q->seen = mem_deref(q->seen);
}
