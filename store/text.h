/*
 * A configuration as ACLI text
 */
#pragma once

#include "store/config.h"

struct text_setup {
	const struct config *cfg;
	const struct element *only; /* NULL: all elements */
	struct pl key;              /* empty: all objects */
	bool brief;                 /* keys and non-default values */
};

/** Print ACLI text (configuration.md 1.4); secrets are masked */
int text_print(struct re_printf *pf, const struct text_setup *setup);
