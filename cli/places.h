/*
 * What is possible at a place of the configuration tree: words, keys, values
 *
 * All of it comes from the schema; execution, abbreviation, completion and help
 * ask here.
 */
#pragma once

#include "cli/choices.h"
#include "cli/draft.h"

/** A place: the top of the tree, a folder, or an element in it */
struct place {
	const char *folder;         /* NULL: the top */
	const struct element *type; /* NULL: no object at hand */
	bool asks; /* it is made of arguments: `show` runs them (cli/form) */
};

/** Words of a place: folders, elements, parameters, verbs */
void place_words(struct choices *c, const struct place *place);

/** Words at the top of the tree: folders, and elements of all of them */
void place_top(struct choices *c);

/** Elements of all folders */
void place_elements(struct choices *c);

/** Is it a folder of the tree? */
bool is_folder(const char *name);

/** Parameters of an element, with their sentences */
void place_parameters(struct choices *c, const struct element *type);

/** Values a parameter may take: its words, or the objects it may name */
void place_values(struct choices *c, const struct field *f,
		  const struct config *cfg);

/** Where keys come from: a configuration, or the sub-elements of an object */
struct keys {
	const struct element *type;
	const struct config *cfg;
	const struct items *items; /* or NULL */
};

/** How many objects there are, and the n-th */
size_t keys_count(const struct keys *keys);
const void *keys_at(const struct keys *keys, size_t n);

/** The object with this key, or with this first part where it is unique; NULL */
const void *keys_find(const struct keys *keys, const char *key);

/**
 * Next parts of keys whose first parts are these words
 *
 * @param c      Appended; help is the summary of the first object that fits
 * @param keys   Objects
 * @param words  First parts
 * @param n      How many
 */
void place_keys(struct choices *c, const struct keys *keys, char *const *words,
		uint32_t n);

/** Does the filter of `select` leave the object? A prefix of any part of its key,
 *  or a pattern with `*`; an empty one leaves all */
bool key_matches(const struct element *type, const void *item,
		 const char *filter);

/** Parts that a key has */
uint32_t key_parts(const struct element *type);

/** Print the summary of an object in a list of `select` */
int summary_print(struct re_printf *pf, const struct object *o);

/** Print a parameter: type, range, unit, default and present value; its
 *  sentence */
struct parameter {
	const struct field *f;
	const void *item; /* NULL: no present value */
};
int parameter_print(struct re_printf *pf, const struct parameter *p);
