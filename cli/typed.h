/*
 * What is typed for a parameter: one value, or a list with signs
 *
 * acli.md 1.4. A value that is refused leaves the old one as it is.
 */
#pragma once

#include "store/schema.h"

/** What is said about a value: why it was refused, or what it took away */
struct typed_note {
	char text[1536];
};

/**
 * Set a parameter from what stands behind its name in a line
 *
 * @param f      Parameter, no sub-element
 * @param type   Its element
 * @param item   Object
 * @param text   Rest of the line as typed, quotes and all
 * @param note   Set to the sentence of an error; else to what a replacement
 *               removed, "source-realm: (a b) -> (a)", or empty
 *
 * @return 0; EINVAL refused; ENOMEM
 */
int typed_set(const struct field *f, const struct element *type, void *item,
	      const struct pl *text, struct typed_note *note);

/**
 * Take the next word off a text: a bare word, a quoted one with its quotes
 * undone, or a whole list in parentheses
 *
 * @param word  Set to the word: its bytes without quotes, mem_deref
 * @param rest  The text; what is left of it afterwards
 * @param kind  Set to its first byte as typed: '"', '(' , '+' or '-' before a
 *              value; 0 else
 *
 * @return 0; ENOENT at the end; EINVAL a quote or a parenthesis is open; ENOMEM
 */
int typed_word(char **word, struct pl *rest, char *kind);
