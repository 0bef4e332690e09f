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

/**
 * Read a text
 *
 * @param buf   Set to it; "" when it was never set
 * @param size  Of buf
 *
 * @return 0; EOVERFLOW it is longer; EIO
 */
int fact_text(struct database *db, const char *name, char *buf, size_t size);

/** Write a text, at once; "" removes it. 0; EIO */
int fact_text_set(struct database *db, const char *name, const char *text);

/** Epoch of this start: rises by one at each call (architecture.md 11) */
int fact_epoch(struct database *db, uint64_t *epochp);
