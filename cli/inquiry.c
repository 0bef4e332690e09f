/*
 * Whom verify asks: this machine, the database, DNS
 */
#include <errno.h>
#include <string.h>
#include "store/credentials.h"
#include "sbc/lookup.h"
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

void inquiry_init(struct inquiry *q, const struct inquiry_setup *setup)
{
	memset(q, 0, sizeof(*q));
	q->db = setup->db;
	q->cfg = setup->cfg;
	q->outside.arg = q;
	q->host.file = setup->file;
	if (setup->host && !outside_host_look(&q->host))
		q->outside.host = &q->host;
	if (setup->dns)
		q->outside.resolve = resolve_all;
	if (!setup->db)
		return;

	q->outside.rows = rows;
	q->outside.aors = aors;
	q->host.seal = setup->seal;
	if (!database_beside(setup->db, "sbc.key", q->key, sizeof(q->key)))
		q->host.key_file = q->key;
}

void inquiry_finish(struct inquiry *q)
{
	outside_host_forget(&q->host);
}
