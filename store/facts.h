/*
 * Small durable facts by name
 */
#pragma once

#include <stdint.h>
#include "store/database.h"

/** Read a number; 0 when it was never set. 0; EIO */
int fact_get(struct database *db, const char *name, uint64_t *valuep);

/** Write a number, at once; 0; EIO */
int fact_set(struct database *db, const char *name, uint64_t value);

/** Epoch of this start: rises by one at each call (architecture.md 11) */
int fact_epoch(struct database *db, uint64_t *epochp);
