/*
 * A tree of names and values with their places, as read from a file
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/node.h"

struct node *node_alloc(enum node_kind kind, const struct pl *text,
			uint32_t line, uint32_t column)
{
	struct node *node = calloc(1, sizeof(*node));
	char *copy;

	if (!node)
		return NULL;

	node->kind = kind;
	node->line = line;
	node->column = column;
	if (kind != SCALAR)
		return node;

	copy = calloc(1, (text ? text->l : 0) + 1);
	if (!copy) {
		free(node);
		return NULL;
	}
	if (text && text->l)
		memcpy(copy, text->p, text->l);
	node->text.p = copy;
	node->text.l = text ? text->l : 0;
	return node;
}

int node_append(struct node *node, struct node *child)
{
	if ((node->n & (node->n - 1)) == 0) {
		size_t room = node->n ? node->n * 2 : 1;
		struct node **more =
			realloc(node->children, room * sizeof(*more));

		if (!more)
			return ENOMEM;
		node->children = more;
	}

	node->children[node->n++] = child;
	return 0;
}

/* There may be a password in it */
void node_free(struct node *node)
{
	if (!node)
		return;

	for (size_t i = 0; i < node->n; i++)
		node_free(node->children[i]);
	free(node->children);
	if (node->text.p)
		explicit_bzero((char *)node->text.p, node->text.l);
	free((char *)node->text.p);
	free(node);
}
