/*
 * What a record says of a request, and of where it went
 */
#pragma once

#include "sbc/cdr.h"
#include "sbc/hunt.h"

/** The request as it came, and whose it is. Times and config-version, too */
void account_begin(struct cdr *cdr, const struct hunt *hunt);

/** The hop that it was sent to last */
void account_placed(struct cdr *cdr, const struct hunt *hunt);
