/*
 * ACLI text as a tree: what is indented belongs to the line above
 *
 * Form: configuration.md 1.4. Which names there are is not known here.
 */
#pragma once

#include "store/node.h"

/** Does the text begin as ACLI text does? Else it is YAML */
bool outline_is(const struct pl *bytes);

/** Something that is no ACLI text, with its place */
typedef void(outline_h)(uint32_t line, uint32_t column, const char *what,
			const char *hint, void *arg);

/**
 * Read ACLI text
 *
 * The tree is a sequence of mappings of one pair: name of the element, mapping of
 * its parameters. Sub-elements of one name are gathered in a sequence.
 *
 * @param rootp  Set to the tree; node_free
 * @param bytes  Text
 * @param h      Told of each problem; the line is left out
 * @param arg    Its argument
 *
 * @return 0; ENOMEM
 */
int outline_read(struct node **rootp, const struct pl *bytes, outline_h *h,
		 void *arg);
