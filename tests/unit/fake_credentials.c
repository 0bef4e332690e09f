/*
 * A credential table in memory
 */
#include <errno.h>
#include <string.h>
#include "tests/unit/fake_credentials.h"

enum {
	ROWS = 32
};

static struct row {
	const char *realm, *auth_realm, *lookup, *username, *password;
	bool aor;
} rows[ROWS];
static unsigned rows_n;
static int fails;
static long opened;

static void add(struct row row)
{
	if (rows_n < ROWS)
		rows[rows_n++] = row;
}

void fake_credential(const char *realm, const char *auth_realm,
		     const char *lookup, const char *username,
		     const char *password)
{
	add((struct row){ realm, auth_realm, lookup, username, password,
			  false });
}

void fake_credential_of_aor(const char *agent, const char *user,
			    const char *username, const char *password)
{
	add((struct row){ agent, user, "", username, password, true });
}

void fake_credentials_fail(int err)
{
	fails = err;
}

bool fake_credentials_wiped(void)
{
	return opened <= 0;
}

void fake_credentials_reset(void)
{
	rows_n = 0;
	fails = 0;
	opened = 0;
}

static int find(const struct pl *a, const struct pl *b, const struct pl *c,
		bool aor, struct credential *out)
{
	if (fails)
		return fails;

	for (unsigned i = 0; i < rows_n; i++) {
		const struct row *r = &rows[i];

		if (r->aor != aor || pl_strcmp(a, r->realm) ||
		    pl_strcmp(b, r->auth_realm) ||
		    (c && pl_strcmp(c, r->lookup)))
			continue;
		if (out) {
			strcpy(out->username, r->username);
			strcpy(out->password, r->password);
			opened++;
		}
		return 0;
	}

	return ENOENT;
}

int credentials_open(struct credentials **tablep, struct database *db,
		     const struct seal *seal, uint32_t cached)
{
	*tablep = NULL;
	(void)db;
	(void)seal;
	(void)cached;

	return 0;
}

void credentials_close(struct credentials *table)
{
	(void)table;
}

void credentials_changed(struct credentials *table)
{
	(void)table;
}

int credential_get(struct credentials *table, const struct credential_key *key,
		   struct credential *out)
{
	(void)table;

	return find(&key->realm, &key->auth_realm, &key->lookup, false, out);
}

int credential_imported(struct credentials *table,
			const struct credential_key *key,
			struct credential *out)
{
	return credential_get(table, key, out);
}

bool credential_exists(struct credentials *table,
		       const struct credential_key *key)
{
	(void)table;

	return !find(&key->realm, &key->auth_realm, &key->lookup, false, NULL);
}

int credential_of_aor(struct credentials *table, const struct pl *agent,
		      const struct pl *user, struct credential *out)
{
	(void)table;

	return find(agent, user, NULL, true, out);
}

void credential_wipe(struct credential *c)
{
	memset(c, 0, sizeof(*c));
	opened--;
}

int credentials_count(struct database *db, const char *realm, uint64_t *np)
{
	*np = rows_n;
	(void)db;
	(void)realm;

	return 0;
}

int credentials_import(struct database *db, const struct seal *seal,
		       const char *realm, const struct pl *csv, bool replace,
		       uint32_t *countp, const struct import_watch *watch)
{
	(void)db;
	(void)seal;
	(void)realm;
	(void)csv;
	(void)replace;
	(void)countp;
	(void)watch;

	return ENOSYS;
}

int credentials_import_aors(struct database *db, const struct seal *seal,
			    const char *agent, const struct pl *csv,
			    bool replace, uint32_t *countp,
			    const struct import_watch *watch)
{
	return credentials_import(db, seal, agent, csv, replace, countp, watch);
}
