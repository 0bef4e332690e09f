/*
 * Rows of registrations in memory; they outlive a "restart"
 */
#pragma once

#include "store/registrations.h"

const struct registration_row *fake_row(const char *aor);
size_t fake_rows(void);
/** How often a row was put, over all */
size_t fake_puts(void);
void fake_registrations_written(uint64_t wall);
void fake_registrations_reset(void);
