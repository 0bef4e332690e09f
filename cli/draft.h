/*
 * The object at hand: an element, sub-elements in it, and how they are stored
 *
 * An object is private to its connection until it is stored (acli.md 1.3). Of a
 * sub-element that means: put into its parent at hand. Only the outermost object
 * goes into the editing configuration, as a list of changes.
 */
#pragma once

#include "store/config.h"

enum {
	DRAFT_DEPTH = 4
};

/** One object at hand. Members are read by others, and written by this file */
struct level {
	const struct element *type;
	const struct field *in; /* of the object above; NULL: outermost */
	void *item;
	void *loaded; /* as it was loaded or stored last; NULL: a new one */
	bool changed; /* since then */
	char *stored; /* what was stored in it since: "sip-port [...]"; NULL */
};

struct draft {
	const char *folder; /* NULL: at the top of the tree */
	struct level level[DRAFT_DEPTH];
	uint32_t n;
};

/** The innermost object; NULL: none at hand */
struct level *draft_level(struct draft *d);

/** Let go of all objects at hand, of the innermost one */
void draft_clear(struct draft *d);
void draft_leave(struct draft *d);

/**
 * Take an object into the hand
 *
 * @param d     Draft; in: inside of the innermost object, else it replaces all
 * @param type  Element
 * @param in    Field of the innermost object that holds it, or NULL
 * @param item  Object to begin with, copied; NULL: default values
 * @param is    It is stored: what is done replaces it. Else it is a new one
 *
 * @return 0; E2BIG too deep; ENOMEM
 */
int draft_enter(struct draft *d, const struct element *type,
		const struct field *in, const void *item, bool is);

/** Replace the innermost object by another of its kind; arguments as above */
int draft_put(struct draft *d, const void *item, bool is);

/** Something was set in the innermost object */
void draft_touch(struct draft *d);

/** Is anything not stored? */
bool draft_is_changed(const struct draft *d);

/** Key of an object, mem_deref. 0; ENOMEM */
int key_text(char **keyp, const struct element *type, const void *item);

/** Write into an object who changed it, and that it was now (configuration.md
 *  1.5). 0; ENOMEM */
int object_stamp(const struct element *type, void *item, const char *by);

/** Required parameter that is empty; NULL: none */
const struct field *draft_missing(const struct level *level);

/** Sub-element by key, as key_text writes it or by its first part where that is
 *  enough; NULL */
void *items_find(const struct items *items, const struct element *type,
		 const char *key);

/** Remove a sub-element from those of the object above, or above it */
void items_remove(struct items *items, const struct element *type,
		  const void *item);

/**
 * Store a sub-element at hand in the object above it
 *
 * @param d      Draft
 * @param depth  Its place in level[], from 1
 *
 * @return 0; EEXIST another one has this key; ENOMEM
 */
int draft_store(struct draft *d, uint32_t depth);

/** The outermost object is stored now: it is what was loaded. 0; ENOMEM */
int draft_stored(struct draft *d);

/** Print "surrogate-agent [example.net alice pbx-a]"; a single element has no
 *  key */
struct object {
	const struct element *type;
	const void *item;
};
int object_print(struct re_printf *pf, const struct object *o);
