/*
 * The credential table: look up with a bounded cache, import, count
 *
 * Rows are keyed (realm, auth-realm, auth-user-lookup). Entries of the running
 * configuration and imported rows stand in one table; where both have a key,
 * the entry wins. Passwords are sealed on disk and in the cache, opened on use.
 *
 * A `struct credentials` belongs to one thread: it has a read-only connection
 * and a cache of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/config.h"
#include "store/database.h"
#include "store/seal.h"

struct credentials;

/** A password is opened into this; the caller wipes it */
struct credential {
	char username[256];
	char password[SECRET_MAX + 1];
};

struct credential_key {
	struct pl realm, auth_realm, lookup;
};

/**
 * Open a reader of the table for the calling thread
 *
 * @param tablep  Set to the table
 * @param db      Database
 * @param seal    Key; must outlive the table
 * @param cached  Rows held in memory (credential-cache-size)
 *
 * @return 0; ENOMEM; EIO
 */
int credentials_open(struct credentials **tablep, struct database *db,
		     const struct seal *seal, uint32_t cached);
void credentials_close(struct credentials *table);

/** Forget the cache. Activation and import are noticed without it */
void credentials_changed(struct credentials *table);

/**
 * Find the entry with exactly this key
 *
 * @return 0; ENOENT; EIO the database failed; EBADMSG the key file does not
 *         open it
 */
int credential_get(struct credentials *table, const struct credential_key *key,
		   struct credential *out);

/** The same among imported rows alone: beside entries of a configuration that does
 *  not run */
int credential_imported(struct credentials *table,
			const struct credential_key *key,
			struct credential *out);

/** Is there an entry? For verify and test-credentials: no secret is opened */
bool credential_exists(struct credentials *table,
		       const struct credential_key *key);

/**
 * Credentials of a single AoR of a surrogate-agent, where it has its own
 *
 * @param agent  Key of the surrogate-agent as item_key_spell writes it
 * @param user   User part of the AoR
 *
 * @return 0; ENOENT; EIO; EBADMSG
 */
int credential_of_aor(struct credentials *table, const struct pl *agent,
		      const struct pl *user, struct credential *out);

/** Wipe the password after use, of one that was opened or began empty */
void credential_wipe(struct credential *c);

/** How many rows there are, of one realm or of all (NULL); 0; EIO */
int credentials_count(struct database *db, const char *realm, uint64_t *np);

/** What may be shown of an imported row */
struct credential_info {
	const char *realm, *auth_realm, *lookup, *username;
	bool has_password;
};
typedef void(credential_info_h)(const struct credential_info *info, void *arg);

/** Walk them, sorted by key. 0; errno of the database */
int credentials_list(struct database *db, credential_info_h *h, void *arg);

/** Walk what was imported, sorted by key, without secrets; h stops it by an
 *  errno. 0; that errno; errno of the database */
typedef int(credential_row_h)(const char *realm, const char *auth_realm,
			      const char *lookup, void *arg);
int credentials_walk(struct database *db, credential_row_h *h, void *arg);

/** The same for credentials of single AoRs, by agent and user */
typedef int(credential_aor_h)(const char *agent, const char *user, void *arg);
int credentials_walk_aors(struct database *db, credential_aor_h *h, void *arg);

/** Who hears of an import; on the thread that imports or the one that writes,
 *  and never on both at once. It must not wait for the database */
struct import_watch {
	/** A bad row, by line; NULL */
	void (*bad)(uint32_t line, const char *why, void *arg);
	/** How far it is: "reading" bytes, then "storing" rows; NULL */
	void (*progress)(const char *what, size_t done, size_t total,
			 void *arg);
	void *arg;
};

/**
 * Import rows from CSV text, all or nothing
 *
 * Header `auth-realm,auth-user-lookup,username,password` (RFC 4180). Bad rows
 * are told by line, and then nothing is taken. Live at once. Memory does not
 * grow with the rows.
 *
 * @param db       Database
 * @param seal     Key
 * @param realm    Realm-config that the rows belong to
 * @param csv      The text
 * @param replace  Drop what was imported for the realm before
 * @param countp   Set to the rows taken
 * @param watch    Who hears of it, or NULL
 *
 * @return 0; EINVAL bad rows; errno of the database
 */
int credentials_import(struct database *db, const struct seal *seal,
		       const char *realm, const struct pl *csv, bool replace,
		       uint32_t *countp, const struct import_watch *watch);

/**
 * Import credentials of single AoRs of a surrogate-agent
 *
 * Header `aor-user,auth-user,password`; an empty auth-user is the aor-user.
 * Else as credentials_import.
 *
 * @param agent  Key of the surrogate-agent as item_key_spell writes it
 */
int credentials_import_aors(struct database *db, const struct seal *seal,
			    const char *agent, const struct pl *csv,
			    bool replace, uint32_t *countp,
			    const struct import_watch *watch);
