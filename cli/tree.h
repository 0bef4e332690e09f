/*
 * A configuration as a JSON tree
 *
 * The tree is that of the YAML form: folders, elements, objects with the
 * parameters that are not at their defaults. Lists are arrays, also of one value;
 * secrets are masked.
 */
#pragma once

#include "store/config.h"
#include "store/diff.h"
#include "cli/json.h"

struct tree_setup {
	const struct config *cfg;
	const struct element *only; /* NULL: all elements */
	struct pl key;              /* empty: all objects */
};

/** Append the tree to the document, as its data */
void tree_json(struct reply *r, const struct tree_setup *setup);

/** Append a difference to an array: element, path, key, what happened, and the
 *  object before and after it; of a changed one the parameters that differ */
void tree_difference_json(struct reply *r, const struct difference *d);
