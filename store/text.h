/*
 * A configuration as ACLI text
 */
#pragma once

#include <stdbool.h>
#include "store/base.h"
#include "store/config.h"

struct text_setup {
	const struct config *cfg;
	const struct element *only; /* NULL: all elements */
	struct pl key;              /* empty: all objects */
	bool brief;                 /* keys and non-default values */
	bool clear;                 /* secrets too */
};

/** One parameter with its value */
struct text_field {
	const struct field *field;
	const void *item;
	size_t indent;
	bool clear; /* a secret too */
};

/** One object with its sub-elements */
struct text_item {
	const struct element *type;
	const void *item;
	size_t indent;
	bool brief; /* keys and non-default values */
	bool clear; /* secrets too */
};

/** Print ACLI text (configuration.md 1.4); secrets are masked unless clear is set */
int text_print(struct re_printf *pf, const struct text_setup *setup);

/** Print one parameter as a line, the value in column 37 */
int text_field_print(struct re_printf *pf, const struct text_field *t);

/** Print one object: its name, its parameters, its sub-elements */
int text_item_print(struct re_printf *pf, const struct text_item *t);
