/*
 * Rows of registrations in memory; they outlive a "restart"
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fake_registrations.h"

enum {
	ROWS = 4096
};

static struct registration_row rows[ROWS];
static size_t rows_n, puts_n;
static uint64_t written;

static const char **text(struct registration_row *r, int i)
{
	const char **all[] = {
		&r->aor,      &r->agent,         &r->callid,
		&r->from_tag, &r->contact,       &r->registrar,
		&r->target,   &r->service_route, &r->associated
	};

	return i < 9 ? all[i] : NULL;
}

static void row_free(struct registration_row *r)
{
	for (int i = 0; text(r, i); i++)
		free((char *)*text(r, i));
}

const struct registration_row *fake_row(const char *aor)
{
	for (size_t i = 0; i < rows_n; i++)
		if (!strcmp(rows[i].aor, aor))
			return &rows[i];

	return NULL;
}

size_t fake_rows(void)
{
	return rows_n;
}

size_t fake_puts(void)
{
	return puts_n;
}

void fake_registrations_written(uint64_t wall)
{
	written = wall;
}

void fake_registrations_reset(void)
{
	while (rows_n)
		row_free(&rows[--rows_n]);
	puts_n = 0;
	written = 0;
}

int registrations_load(struct database *db, registration_row_h *h, void *arg)
{
	(void)db;
	for (size_t i = 0; i < rows_n; i++)
		h(&rows[i], arg);

	return 0;
}

uint64_t registrations_written(struct database *db)
{
	(void)db;

	return written;
}

static size_t place(const char *agent, const char *aor)
{
	size_t i;

	for (i = 0; i < rows_n; i++)
		if (!strcmp(rows[i].aor, aor) && !strcmp(rows[i].agent, agent))
			break;

	return i;
}

int registrations_put(struct database *db, const struct registration_row *row)
{
	struct registration_row copy = *row;
	size_t i = place(row->agent, row->aor);

	(void)db;
	puts_n++;
	for (int k = 0; text(&copy, k); k++)
		*text(&copy, k) = strdup(*text(&copy, k));
	if (i == ROWS) {
		row_free(&copy);
		return ENOBUFS;
	}
	if (i < rows_n)
		row_free(&rows[i]);
	else
		rows_n++;
	rows[i] = copy;

	return 0;
}

int registrations_drop(struct database *db, const char *agent, const char *aor)
{
	size_t i = place(agent, aor);

	(void)db;
	if (i == rows_n)
		return 0;
	row_free(&rows[i]);
	rows[i] = rows[--rows_n];

	return 0;
}
