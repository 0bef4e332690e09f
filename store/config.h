/*
 * One configuration: counted, immutable, made of sections that versions share
 *
 * Built, verified, then never written again. Any thread may hold a reference;
 * the counts are atomic.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "store/hash.h"
#include "store/schema.h"

enum {
	ELEMENTS_MAX = 64
};

/** One object of an element, shared between versions */
struct item {
	atomic_uint refs;
	const struct element *type;
	void *value;   /* the element's own struct */
	uint32_t line; /* of the source file, 0: none */
	uint32_t column;
};

/** All objects of one element, in order */
struct section {
	atomic_uint refs;
	const struct element *type;
	size_t n, room;
	struct item **items;
	struct index *_Atomic index; /* by key, made when first asked for */
};

struct config {
	atomic_uint refs;
	uint32_t version;                       /* 0: editing */
	struct section *sections[ELEMENTS_MAX]; /* by place in elements[] */
};

/** One change: an object that replaces that of the same key, or is added;
 *  item NULL removes the object with key_of's key */
struct change {
	const struct element *type;
	void *item;         /* taken over */
	const void *key_of; /* only read; for a removal */
};

/** Make an empty configuration: single elements with defaults; 0 or ENOMEM */
int config_alloc(struct config **cfgp);

/**
 * Make a new configuration that shares what the changes do not touch
 *
 * @return 0; ENOMEM, then nothing of changes was taken over
 */
int config_change(struct config **newp, const struct config *old,
		  const struct change *changes, size_t n);

/**
 * While building: append an object; takes it over when it returns 0
 *
 * The object of a single element replaces the one that is there.
 *
 * @return 0; EEXIST same key; ENOMEM
 */
int config_append(struct config *cfg, const struct element *type, void *item,
		  uint32_t line, uint32_t column);

/**
 * While building: take over the objects of another configuration that are equal,
 * and whole sections
 *
 * So that versions which were read one by one share what they have in common,
 * and comparing them compares pointers.
 *
 * @param cfg   Configuration that only the caller knows yet
 * @param with  The other one
 *
 * @return 0; ENOMEM, some are not shared then
 */
int config_share(struct config *cfg, const struct config *with);

/** One more reference; one less (frees at the last) */
const struct config *config_take(const struct config *cfg);
void config_give(const struct config *cfg);

/** Objects of an element: how many, and the n-th */
size_t config_count(const struct config *cfg, const struct element *type);
const void *config_at(const struct config *cfg, const struct element *type,
		      size_t n);
const struct item *config_item_at(const struct config *cfg,
				  const struct element *type, size_t n);

/** The one object of a single element, never NULL */
const void *config_single(const struct config *cfg, const struct element *type);

/**
 * Object by key, or by the first part of the key where that is unique
 *
 * @param key  Key as item_key_spell writes it
 *
 * @return The object or NULL
 */
const void *config_find(const struct config *cfg, const struct element *type,
			const struct pl *key);
/** The same with its place; NULL */
const struct item *config_item_find(const struct config *cfg,
				    const struct element *type,
				    const struct pl *key);
