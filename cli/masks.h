/*
 * Masked secrets of an import keep what is stored
 */
#pragma once

#include "store/config.h"

/** A secret that is masked, and none is stored for it */
/**
 * Open every secret in place, for an export that has them in clear
 *
 * @param cfg   Configuration; nobody else has it
 * @param seal  Key
 *
 * @return 0; EBADMSG the key does not open one of them; ENOMEM
 */
int masks_open(struct config *cfg, const struct seal *seal);

/** Is there a secret that is not masked? */
bool masks_miss(const struct config *cfg);

typedef void(mask_h)(const struct element *type, const void *item,
		     const struct field *f, void *arg);

/**
 * Put stored secrets in the place of masks (configuration.md 1.5)
 *
 * The object, and the sub-element in it, with the same key has it.
 *
 * @param cfg     Configuration that was read; nobody else has it yet
 * @param stored  The editing configuration
 * @param h       Told of each mask for which nothing is stored
 * @param arg     Its argument
 *
 * @return 0; ENOENT h was told; ENOMEM
 */
int masks_fill(struct config *cfg, const struct config *stored, mask_h *h,
	       void *arg);
