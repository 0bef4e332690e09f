/*
 * Editing, saved and running configuration by version number
 *
 * Editing is the version after the newest saved one. Each object is one row with `born` and `died`: the first version that has it
 * and the first that has it not (architecture.md 4). Writing goes through the
 * writer thread of the database, or directly while no such thread runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/config.h"
#include "store/database.h"
#include "store/seal.h"

/** The editing configuration, where a version is asked for; what is loaded
 *  bears the number 0 */
#define VERSION_EDITING UINT32_MAX

struct version_info {
	uint32_t number;
	char saved[32]; /* RFC 3339, UTC */
	char by[64];
	uint32_t elements;
	uint32_t errors, warnings; /* VERSION_UNCOUNTED: nobody counted */
};

#define VERSION_UNCOUNTED UINT32_MAX

/**
 * Read a version out of the database
 *
 * Any thread; the read has a view of its own. A value that this program does
 * not take any more becomes the default, with a log line.
 *
 * @param cfgp     Set to the configuration; give back with config_give
 * @param db       Database
 * @param version  Number; 0: the running one; VERSION_EDITING
 *
 * @return 0; ENOENT no such version, or none was ever activated; EBADMSG
 *         damaged; ENOMEM; EIO
 */
int versions_load(struct config **cfgp, struct database *db, uint32_t version);

/**
 * Save a configuration as the newest version; one transaction
 *
 * Rows that did not change live on; equal to the newest saved version: no new
 * number. Secrets are sealed. The order of the objects is kept. Editing is equal
 * to it then: edits that were not saved are gone.
 *
 * @param numberp  Set to the number of the version
 * @param db       Database
 * @param cfg      Configuration
 * @param seal     Key
 * @param by       Who, "anna@local"
 *
 * @return 0; ENOMEM; EIO, ENOSPC, EROFS, EBADMSG, and then nothing is changed
 */
int versions_save(uint32_t *numberp, struct database *db,
		  const struct config *cfg, const struct seal *seal,
		  const char *by);

/**
 * Make a configuration the editing one; one transaction
 *
 * @param db    Database
 * @param cfg   Configuration
 * @param seal  Key
 *
 * @return 0; errno as of versions_save, and then nothing is changed
 */
int versions_edit(struct database *db, const struct config *cfg,
		  const struct seal *seal);

/**
 * Change single objects of the editing configuration; one transaction
 *
 * Touches the rows of objects that both do not share: the time does not depend
 * on how many there are.
 *
 * @param db      Database
 * @param before  The editing configuration as the database has it
 * @param cfg     What it is to be; made of `before` by config_change
 * @param seal    Key
 *
 * @return 0; errno as of versions_save, and then nothing is changed
 */
int versions_edit_objects(struct database *db, const struct config *before,
			  const struct config *cfg, const struct seal *seal);

/**
 * The editing configuration becomes the newest saved version
 *
 * @param numberp  Set to the number of the newest saved version
 * @param db       Database
 * @param by       Who, "anna@local"
 *
 * @return 0; EALREADY editing does not differ from it; errno of the database
 */
int versions_save_edits(uint32_t *numberp, struct database *db, const char *by);

/** Editing becomes as last saved again. 0; errno of the database */
int versions_discard(struct database *db);

/** Does editing differ from the newest saved version? 0; errno */
int versions_edited(bool *editedp, struct database *db);

/**
 * Make a saved version the running one
 *
 * In the same transaction its auth-attributes become the entries that
 * credential_get finds, and every reader of that table is told.
 *
 * @return 0; ENOENT no such version; errno of the database
 */
int versions_activate(struct database *db, uint32_t version);

/** A version that runs on trial (acli.md 1.7) */
struct version_trial {
	uint64_t until;  /* wall time [s]; 0: none waits to be accepted */
	uint32_t former; /* returns then, and at the next start */
};

/**
 * Make a saved version the running one until a moment: unless it is accepted, the
 * one that ran before returns
 *
 * Any other activation ends the trial of the one before.
 *
 * @param until  Wall time [s]
 *
 * @return 0; ENOENT no such version, or nothing ran before; errno of the database
 */
int versions_try(struct database *db, uint32_t version, uint64_t until);

/** Does a version run on trial? 0; errno of the database */
int versions_trial(struct database *db, struct version_trial *trial);

/** The running version stays. 0; errno of the database */
int versions_accept(struct database *db);

/** Numbers of the newest saved and of the running version, 0: none */
int versions_numbers(struct database *db, uint32_t *saved, uint32_t *running);

/** Note what verify-config found in a saved version. 0; errno of the database */
int versions_judge(struct database *db, uint32_t version, uint32_t errors,
		   uint32_t warnings);

typedef void(version_h)(const struct version_info *info, void *arg);

/** Walk the saved versions, newest first; 0; errno of the database */
int versions_list(struct database *db, version_h *h, void *arg);

/** Forget old versions: the newest `kept` stay, and always the running one, and
 *  the one that returns when that is not accepted. 0; EINVAL none would stay; errno of the database */
int versions_sweep(struct database *db, uint32_t kept);
