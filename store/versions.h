/*
 * Saved and running configuration by version number
 *
 * Each object is one row with `born` and `died`: the first version that has it
 * and the first that has it not (architecture.md 4). Writing goes through the
 * writer thread of the database, or directly while no such thread runs.
 */
#pragma once

#include <stdint.h>
#include "store/config.h"
#include "store/database.h"
#include "store/seal.h"

struct version_info {
	uint32_t number;
	char saved[32]; /* RFC 3339, UTC */
	char by[64];
	uint32_t elements;
};

/**
 * Read a version out of the database
 *
 * @param cfgp     Set to the configuration; give back with config_give
 * @param db       Database
 * @param version  Number; 0: the running one
 *
 * @return 0; ENOENT no such version, or none was ever activated; EIO
 */
int versions_load(struct config **cfgp, struct database *db,
		  uint32_t version);

/**
 * Save a configuration as the newest version; one transaction
 *
 * Rows that did not change live on; equal to the newest saved version: no new
 * number. Secrets are sealed.
 *
 * @param numberp  Set to the number of the version
 * @param db       Database
 * @param cfg      Configuration
 * @param by       Who, "anna@local"
 *
 * @return 0; EIO, ENOSPC, EROFS with a log line
 */
int versions_save(uint32_t *numberp, struct database *db,
		  const struct config *cfg, const struct seal *seal,
		  const char *by);

/** Make a saved version the running one; 0; ENOENT; EIO */
int versions_activate(struct database *db, uint32_t version);

/** Numbers of the newest saved and of the running version, 0: none */
int versions_numbers(struct database *db, uint32_t *saved,
		     uint32_t *running);
