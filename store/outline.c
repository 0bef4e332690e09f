/*
 * ACLI text as a tree: what is indented belongs to the line above
 */
#include <errno.h>
#include <string.h>
#include "store/outline.h"
#include "store/value.h"

enum {
	DEPTH = 8 /* four are needed */
};

/* One line */
struct text_line {
	uint32_t number, indent;
	struct pl name, value; /* value as written, blanks around it gone */
	uint32_t column;       /* of the value */
};

/* Lines that are open: what is deeper belongs to the last one */
struct outline {
	struct pl rest;
	uint32_t number;
	struct text_line next; /* not taken yet; name empty: the end */
	outline_h *h;
	void *arg;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct pl line_cut(struct pl *rest)
{
	const char *end = memchr(rest->p, '\n', rest->l);
	struct pl line = { rest->p, end ? (size_t)(end - rest->p) : rest->l };

	pl_advance(rest, (ssize_t)(line.l + (end != NULL)));
	while (line.l && is_blank(line.p[line.l - 1]))
		line.l--;
	return line;
}

/* To the next line that says something */
static void line_next(struct outline *o)
{
	struct text_line *next = &o->next;

	memset(next, 0, sizeof(*next));
	while (o->rest.l) {
		struct pl line = line_cut(&o->rest);
		const char *begin = line.p;

		o->number++;
		while (line.l && is_blank(*line.p))
			pl_advance(&line, 1);
		if (!line.l || *line.p == '#')
			continue;
		next->number = o->number;
		next->indent = (uint32_t)(line.p - begin);
		next->name = line;
		next->name.l = 0;
		while (next->name.l < line.l && !is_blank(line.p[next->name.l]))
			next->name.l++;
		next->value = line;
		pl_advance(&next->value, (ssize_t)next->name.l);
		while (next->value.l && is_blank(*next->value.p))
			pl_advance(&next->value, 1);
		next->column = (uint32_t)(next->value.p - begin) + 1;
		return;
	}
}

bool outline_is(const struct pl *bytes)
{
	struct outline o = { .rest = *bytes };

	line_next(&o);
	if (!o.next.name.l || o.next.indent || pl_strchr(&o.next.value, ':'))
		return false;
	for (size_t i = 0; i < o.next.name.l; i++) {
		char c = o.next.name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(i && c == '-'))
			return false;
	}
	return true;
}

static void complain(struct outline *o, const struct text_line *line,
		     const char *what, const char *hint)
{
	o->h(line->number, line->column, what, hint, o->arg);
}

static int list_read(struct outline *o, struct node **nodep,
		     const struct text_line *line)
{
	struct node *node =
		node_alloc(SEQUENCE, NULL, line->number, line->column);
	struct pl rest = line->value;
	int err = node ? 0 : ENOMEM;

	while (!err) {
		char *text = NULL;
		struct node *child;
		struct pl pl;

		err = value_next(&rest, &text);
		if (err)
			break;
		pl_set_str(&pl, text);
		child = node_alloc(SCALAR, &pl, line->number, line->column);
		mem_deref(text);
		err = child ? node_append(node, child) : ENOMEM;
		if (err)
			node_free(child);
	}
	if (err == EINVAL || line->value.p[line->value.l - 1] != ')')
		complain(o, line, "The list has no end",
			 "Write (a b), with quotes around what has blanks");
	if (err == ENOMEM) {
		node_free(node);
		return err;
	}
	*nodep = node;
	return 0;
}

static int word_read(struct outline *o, struct node **nodep,
		     const struct text_line *line)
{
	struct pl rest = line->value;
	char *text = NULL;
	struct pl pl = { "", 0 };
	int err;

	/* Quotes that begin inside a word belong to it */
	if (*rest.p != '"') {
		for (pl = rest, pl.l = 0;
		     pl.l < rest.l && !is_blank(rest.p[pl.l]); pl.l++)
			;
		pl_advance(&rest, (ssize_t)pl.l);
		err = 0;
	} else {
		err = value_next(&rest, &text);
		if (!err)
			pl_set_str(&pl, text);
	}
	while (rest.l && is_blank(*rest.p))
		pl_advance(&rest, 1);
	if (err == ENOMEM)
		return err;
	if (err || rest.l)
		complain(o, line,
			 err ? "A quote is open"
			     : "There is more than one value",
			 "Put a value with blanks into quotes");
	*nodep = node_alloc(SCALAR, &pl, line->number, line->column);
	mem_deref(text);
	return *nodep ? 0 : ENOMEM;
}

static int value_read(struct outline *o, struct node **nodep,
		      const struct text_line *line)
{
	if (!line->value.l) {
		*nodep = node_alloc(SCALAR, NULL, line->number, line->column);
		return *nodep ? 0 : ENOMEM;
	}
	return *line->value.p == '(' ? list_read(o, nodep, line)
				     : word_read(o, nodep, line);
}

/* The value of a name that is there already; NULL */
static struct node *value_of(const struct node *mapping, const struct pl *name)
{
	for (size_t i = 0; i + 1 < mapping->n; i += 2)
		if (!pl_cmp(&mapping->children[i]->text, name))
			return mapping->children[i + 1];
	return NULL;
}

static int pair_append(struct node *mapping, const struct text_line *line,
		       struct node *value)
{
	struct node *key =
		node_alloc(SCALAR, &line->name, line->number, line->indent + 1);
	int err = key ? node_append(mapping, key) : ENOMEM;

	if (err) {
		node_free(key);
		return err;
	}
	err = node_append(mapping, value);
	if (err)
		node_free(mapping->children[--mapping->n]);
	return err;
}

/* Sub-elements of one name are one sequence */
static int child_append(struct node *mapping, const struct text_line *line,
			struct node *value)
{
	struct node *all = value_of(mapping, &line->name);
	int err;

	if (all && all->kind == SEQUENCE)
		return node_append(all, value);
	all = node_alloc(SEQUENCE, NULL, line->number, line->indent + 1);
	if (!all)
		return ENOMEM;
	err = node_append(all, value);
	if (!err) {
		err = pair_append(mapping, line, all);
		if (err)
			all->n = 0; /* the value stays the caller's */
	}
	if (err)
		node_free(all);
	return err;
}

static int block_read(struct outline *o, struct node *mapping, uint32_t indent,
		      unsigned depth);

/* A line and what is indented below it */
static int line_take(struct outline *o, struct node *mapping, unsigned depth)
{
	struct text_line line = o->next;
	struct node *value = NULL;
	int err;

	line_next(o);
	if (!o->next.name.l || o->next.indent <= line.indent) {
		err = value_read(o, &value, &line);
		if (!err)
			err = pair_append(mapping, &line, value);
		if (err)
			node_free(value);
		return err;
	}
	if (line.value.l)
		complain(o, &line, "A sub-element has no value behind its name",
			 "Put its parameters below it, indented");
	value = node_alloc(MAPPING, NULL, line.number, line.indent + 1);
	err = value ? block_read(o, value, o->next.indent, depth + 1) : ENOMEM;
	if (!err)
		err = child_append(mapping, &line, value);
	if (err)
		node_free(value);
	return err;
}

/* Lines of one indent, up to one that is less */
static int block_read(struct outline *o, struct node *mapping, uint32_t indent,
		      unsigned depth)
{
	int err = 0;

	while (!err && o->next.name.l && o->next.indent >= indent) {
		if (o->next.indent > indent || depth == DEPTH) {
			o->next.column = o->next.indent + 1;
			complain(o, &o->next, "The line is indented too far",
				 "Indent by four blanks");
			line_next(o);
			continue;
		}
		err = line_take(o, mapping, depth);
	}
	return err;
}

/* An element with its parameters */
static int element_read(struct outline *o, struct node *root)
{
	struct text_line line = o->next;
	struct node *pair = node_alloc(MAPPING, NULL, line.number, 1);
	struct node *value = node_alloc(MAPPING, NULL, line.number, 1);
	int err = pair && value ? 0 : ENOMEM;

	if (!err && line.value.l)
		complain(o, &line, "An element has no value behind its name",
			 "Put its parameters below it, indented");
	line_next(o);
	if (!err && o->next.name.l && o->next.indent)
		err = block_read(o, value, o->next.indent, 1);
	/* Back by a part of the indent only */
	while (!err && o->next.name.l && o->next.indent) {
		o->next.column = o->next.indent + 1;
		complain(o, &o->next, "The line is indented as no other",
			 "Indent by four blanks");
		line_next(o);
	}
	if (!err)
		err = pair_append(pair, &line, value);
	if (!err)
		value = NULL;
	if (!err)
		err = node_append(root, pair);
	if (err)
		node_free(pair);
	node_free(value);
	return err;
}

int outline_read(struct node **rootp, const struct pl *bytes, outline_h *h,
		 void *arg)
{
	struct outline o = { .rest = *bytes, .h = h, .arg = arg };
	struct node *root = node_alloc(SEQUENCE, NULL, 1, 1);
	int err = root ? 0 : ENOMEM;

	line_next(&o);
	while (!err && o.next.name.l) {
		if (o.next.indent) {
			o.next.column = o.next.indent + 1;
			complain(&o, &o.next, "The line belongs to no element",
				 "Begin with an element in column 1");
			line_next(&o);
			continue;
		}
		err = element_read(&o, root);
	}
	if (err)
		node_free(root);
	else
		*rootp = root;
	return err;
}
