/*
 * A tree of names and values with their places, as read from a file
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

enum node_kind {
	SCALAR,
	SEQUENCE,
	MAPPING
};

/** A value and its place. Of a mapping the children are key, value, key ... */
struct node {
	enum node_kind kind;
	bool plain; /* written without quotes, where that makes a difference */
	uint32_t line, column;
	struct pl text;
	size_t n;
	struct node **children;
};

/** Make a node; a scalar copies its text, NULL is "". NULL: no memory */
struct node *node_alloc(enum node_kind kind, const struct pl *text,
			uint32_t line, uint32_t column);

/** Append a child; it is taken over on success. 0; ENOMEM */
int node_append(struct node *node, struct node *child);

/** Free a node with its children, texts wiped; NULL is fine */
void node_free(struct node *node);
