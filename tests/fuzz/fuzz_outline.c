/*
 * Any bytes are an outline with its problems: each node has a place in the text,
 * and a configuration that was read is printed as ACLI text and read as the same
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "store/outline.h"
#include "store/rules.h"
#include "store/text.h"
#include "store/yaml.h"

struct bounds {
	uint32_t lines;
	size_t problems;
};

static void problem(uint32_t line, uint32_t column, const char *what,
		    const char *hint, void *arg)
{
	struct bounds *b = arg;

	assert(line >= 1 && line <= b->lines && column >= 1);
	assert(what && *what && hint);
	b->problems++;
}

static void node_check(const struct node *node, const struct bounds *b,
		       unsigned depth)
{
	assert(node->line <= b->lines && depth < 64);
	assert(node->kind != SCALAR || !node->n);
	assert(node->kind != MAPPING || node->n % 2 == 0);
	for (size_t i = 0; i < node->n; i++)
		node_check(node->children[i], b, depth + 1);
}

static void tree(const struct pl *bytes)
{
	struct bounds b = { .lines = 1 };
	struct node *root = NULL;

	for (size_t i = 0; i < bytes->l; i++)
		b.lines += bytes->p[i] == '\n';
	if (outline_read(&root, bytes, problem, &b))
		abort();
	assert(root->kind == SEQUENCE);
	for (size_t i = 0; i < root->n; i++)
		assert(root->children[i]->kind == MAPPING &&
		       root->children[i]->n == 2);
	node_check(root, &b, 0);
	node_free(root);
}

static void configuration(const struct pl *bytes)
{
	struct list findings = LIST_INIT;
	struct config *first = NULL, *second = NULL;
	char *text = NULL, *again = NULL;

	if (!yaml_read(&first, "f", bytes, &findings)) {
		struct text_setup setup = { .cfg = first, .clear = true };
		struct pl written;

		list_flush(&findings);
		if (re_sdprintf(&text, "%H", text_print, &setup))
			abort();
		pl_set_str(&written, text);
		if (yaml_read(&second, "f", &written, &findings))
			abort();
		setup.cfg = second;
		if (re_sdprintf(&again, "%H", text_print, &setup) ||
		    strcmp(text, again))
			abort();
	}
	list_flush(&findings);
	mem_deref(text);
	mem_deref(again);
	config_give(first);
	config_give(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pl bytes = { (const char *)data, size };

	tree(&bytes);
	if (outline_is(&bytes))
		configuration(&bytes);

	return 0;
}
