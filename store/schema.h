/*
 * What an element is: fields, names, defaults, help
 *
 * An element is a struct written by hand and one table beside it; the table is
 * the only place where a parameter is declared. TEXT, UINT and the others set
 * the type, take the offset, and do not compile when the member has another C
 * type: that is the one macro trick of this program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"
#include "store/value.h"

struct config;
struct element;

/** Sub-elements of an object, in order */
struct items {
	uint32_t n;
	void **v; /* each a struct of the child element */
};

/** A rule between fields or elements; appends what it finds (store/verify) */
typedef int(check_h)(const struct config *cfg, const void *item,
		     struct list *findings);

enum element_flag {
	SINGLE = 1 << 0, /* one object, always there; of a sub-element too */
	IN_DATABASE = 1 << 1, /* rows are never all in memory */
};

struct element {
	const char *name, *alias; /* "auth-attribute", "auth-attributes" */
	const char *folder;       /* "session-router" */
	unsigned flags;
	size_t size;
	const struct field *fields; /* ended by a NULL name */
	check_h *check;
	const char *help;
};

/**
 * Make an object with all defaults
 *
 * @param itemp  Set to the object; free with item_free
 *
 * @return 0; ENOMEM
 */
int item_alloc(void **itemp, const struct element *type);

/** Free an object with its values and sub-elements, secrets wiped */
void item_free(const struct element *type, void *item);

/** Copy an object deeply; 0 or ENOMEM */
int item_copy(void **itemp, const struct element *type, const void *item);

/** Are two objects equal in every field and sub-element? */
bool item_same(const struct element *type, const void *a, const void *b);

/** Append a sub-element to the field's items; takes the object over */
int items_append(struct items *items, void *item);

/** Find a sub-element's field by name or alias of the element; NULL */
const struct field *field_of_child(const struct element *type,
				   const struct pl *name);

/** The slot of a field */
void *field_slot(const struct field *f, void *item);
const void *field_slot_const(const struct field *f, const void *item);

/** Field by name; NULL if there is none */
const struct field *field_find(const struct element *type,
			       const struct pl *name);

/**
 * Set a value from text; a list takes one of its values and appends it
 *
 * @return 0; EINVAL with the reason in fault; ENOMEM
 */
int field_parse(const struct field *f, void *item, const struct pl *text,
		struct value_fault *fault);

/**
 * Set a value from what field_print wrote: a list as "(a b)" or one word
 *
 * The field is emptied before. Serves database, shell and defaults.
 *
 * @return 0; EINVAL with the reason in fault; ENOMEM
 */
int field_read(const struct field *f, void *item, const struct pl *text,
	       struct value_fault *fault);

/** Has the field no value? A flag always has one */
bool field_is_empty(const struct field *f, const void *item);

/** Empty a field; set it to its default */
void field_clear(const struct field *f, void *item);
int field_default(const struct field *f, void *item);

/** Has the field the value of its default? */
bool field_is_default(const struct element *type, const struct field *f,
		      const void *item);

/** Print the truth, for the database and the export with secrets */
int field_print(struct re_printf *pf, const struct field *f, const void *item);

/** Print for people: secrets are masked. Lists as ACLI writes them: "(a b)" */
int field_show(struct re_printf *pf, const struct field *f, const void *item);

/** Print the allowed range: "30-3600 s", "enabled, disabled" */
int field_range_print(struct re_printf *pf, const struct field *f);

struct item_ref {
	const struct element *type;
	const void *item;
};

/** Print the key for people, parts parted by one blank: "example.net alice
 *  pbx-a"; of a part that is a list its first value and how many follow:
 *  "4930+2" */
int item_key_print(struct re_printf *pf, const struct item_ref *ref);

/** Print the key in full, as tables, look-ups and the shell take it: a list as
 *  "(4930 4931 4932)". Two objects with one spelling are the same */
int item_key_spell(struct re_printf *pf, const struct item_ref *ref);

/** All elements at the top of the tree, ended by NULL, in manual order */
extern const struct element *const elements[];

/** Element by name or alias; NULL if there is none */
const struct element *element_find(const struct pl *name);

/* clang-format off */
/* The typed slot. `FIELD_OF(S, member, c_type)` is the offset, and does not
 * compile when the member has another C type. */
#define FIELD_OF(S, m, T) \
	(offsetof(struct S, m) + 0 * sizeof(char[_Generic(((struct S *)0)->m, \
		T: 1, default: -1)]))
#define FLAG(S, m, n, ...)      { .name = n, .type = &type_flag, .offset = FIELD_OF(S, m, bool), __VA_ARGS__ }
#define WORD(S, m, n, ...)      { .name = n, .type = &type_word, .offset = FIELD_OF(S, m, uint8_t), __VA_ARGS__ }
#define UINT(S, m, n, ...)      { .name = n, .type = &type_number, .offset = FIELD_OF(S, m, uint32_t), __VA_ARGS__ }
#define TEXT(S, m, n, ...)      { .name = n, .type = &type_text, .offset = FIELD_OF(S, m, char *), __VA_ARGS__ }
#define NAME(S, m, n, ...)      { .name = n, .type = &type_name, .offset = FIELD_OF(S, m, char *), __VA_ARGS__ }
#define HOST(S, m, n, ...)      { .name = n, .type = &type_host, .offset = FIELD_OF(S, m, char *), __VA_ARGS__ }
#define TARGET(S, m, n, ...)    { .name = n, .type = &type_target, .offset = FIELD_OF(S, m, char *), __VA_ARGS__ }
#define LEVEL(S, m, n, ...)     { .name = n, .type = &type_level, .offset = FIELD_OF(S, m, uint8_t), __VA_ARGS__ }
#define LEVELS(S, m, n, ...)    { .name = n, .type = &type_levels, .offset = FIELD_OF(S, m, struct names), __VA_ARGS__ }
#define ADDRESS(S, m, n, ...)   { .name = n, .type = &type_address, .offset = FIELD_OF(S, m, struct sa), __VA_ARGS__ }
#define PREFIX(S, m, n, ...)    { .name = n, .type = &type_prefix, .offset = FIELD_OF(S, m, struct prefix), __VA_ARGS__ }
#define STAMP(S, m, n, ...)     { .name = n, .type = &type_stamp, .offset = FIELD_OF(S, m, stamp), __VA_ARGS__ }
#define DATE(S, m, n, ...)      { .name = n, .type = &type_date, .offset = FIELD_OF(S, m, char *), __VA_ARGS__ }
#define HHMM(S, m, n, ...)      { .name = n, .type = &type_hhmm, .offset = FIELD_OF(S, m, hhmm), __VA_ARGS__ }
#define WEEKDAYS(S, m, n, ...)  { .name = n, .type = &type_weekdays, .offset = FIELD_OF(S, m, weekdays), __VA_ARGS__ }
#define PASSWORD(S, m, n, ...)  { .name = n, .type = &type_secret, .offset = FIELD_OF(S, m, struct secret), __VA_ARGS__ }
#define NAMES(S, m, n, ...)     { .name = n, .type = &type_names, .offset = FIELD_OF(S, m, struct names), __VA_ARGS__ }
#define METHODS(S, m, n, ...)   { .name = n, .type = &type_methods, .offset = FIELD_OF(S, m, struct names), __VA_ARGS__ }
#define OPTIONS(S, m, n, ...)   { .name = n, .type = &type_options, .offset = FIELD_OF(S, m, struct names), __VA_ARGS__ }
#define WORDS(S, m, n, ...)     { .name = n, .type = &type_words, .offset = FIELD_OF(S, m, struct names), __VA_ARGS__ }
#define PREFIXES(S, m, n, ...)  { .name = n, .type = &type_prefixes, .offset = FIELD_OF(S, m, struct prefixes), __VA_ARGS__ }
#define ADDRESSES(S, m, n, ...) { .name = n, .type = &type_addresses, .offset = FIELD_OF(S, m, struct addresses), __VA_ARGS__ }
#define CODES(S, m, n, ...)     { .name = n, .type = &type_codes, .offset = FIELD_OF(S, m, struct codes), __VA_ARGS__ }
#define PATTERNS(S, m, n, ...)  { .name = n, .type = &type_patterns, .offset = FIELD_OF(S, m, struct patterns), __VA_ARGS__ }
#define CHILD(S, m, n, e, ...)  { .name = n, .child = &(e), .offset = FIELD_OF(S, m, struct items), __VA_ARGS__ }
/* The last two rows of each element at the top: who changed it, and when */
#define MODIFIED(S) \
	TEXT(S, last_modified_by, "last-modified-by", .flags = READONLY, \
	     .help = "Who changed the object last; set by done and by import", .source = "ACLI"), \
	STAMP(S, last_modified_date, "last-modified-date", .flags = READONLY, \
	      .help = "When the object was changed last; set by done and by import", .source = "ACLI")
#define END_OF_FIELDS { .name = NULL }
/* clang-format on */
