/*
 * Words that are possible at a place: match, abbreviate, suggest
 *
 * Every word of the grammar may be shortened while it is unique at its place;
 * an exact word wins (acli.md 1.5). Keys and names are never shortened.
 */
#pragma once

#include <stdbool.h>
#include "store/base.h"

enum choice_kind {
	CHOICE_COMMAND,
	CHOICE_FOLDER,
	CHOICE_ELEMENT,
	CHOICE_CHILD,     /* sub-element; what: its field */
	CHOICE_PARAMETER, /* what: its field */
	CHOICE_VERB,      /* of an object at hand */
	CHOICE_VALUE
};

struct choice {
	char *word, *help;
	const void *what;
	enum choice_kind kind;
	bool full; /* never shortened */
};

/** Words possible at one place, each once; zeroed before the first */
struct choices {
	struct choice *v;
	size_t n, room;
	bool files; /* names of files as well, which the client knows */
	/** Of keys, which may be many, only those that begin so; NULL: all */
	const char *begin;
	size_t left; /* keys that fit and are left out all the same */
};

/** Add a word; one that is there already stays as it is. Out of memory loses the
 *  word */
void choices_add(struct choices *c, const struct choice *choice);

/** Shorter: a word of a kind with its sentence */
void choices_word(struct choices *c, enum choice_kind kind, const char *word,
		  const char *help, const void *what);

/** Let go of all words */
void choices_clear(struct choices *c);

/**
 * Which word was meant
 *
 * @param c       Possible words
 * @param typed   What was typed, perhaps shortened
 * @param choice  Set to the one that fits
 *
 * @return 0; ENOENT none; EEXIST more than one
 */
int choices_pick(const struct choices *c, const char *typed,
		 const struct choice **choice);

/** Does any word begin so? */
bool choices_begin(const struct choices *c, const char *typed);

/** Leave the words that begin so; what is to be typed in full is left too. They
 *  are sorted */
void choices_narrow(struct choices *c, const char *typed);

/** Print the words that begin with `typed`, sorted, parted by commas, at most 12;
 *  NULL: all of them */
struct choices_list {
	const struct choices *c;
	const char *typed;
};
int choices_print(struct re_printf *pf, const struct choices_list *list);

/** The one nearest to what was typed, by one or two letters; NULL */
const char *choices_near(const struct choices *c, const char *typed);
