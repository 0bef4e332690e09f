/*
 * Configuration mode, wholly from the schema
 *
 * acli.md 1.2 to 1.4. What is typed at a place finds its word in cli/places; here
 * it is done. The editing configuration is shared by all sessions and kept in
 * memory by cli/control.
 */
#pragma once

#include "cli/choices.h"
#include "cli/control.h"
#include "cli/places.h"

/** What a session has in configuration mode; NULL in the session: it is not */
struct configure;

/** `configure terminal`, `configure exclusive`; then the line is run, or NULL */
void configure_open(struct session *s, bool exclusive, const char *line);

/** Back to superuser mode; what is at hand is lost. The connection may be ending.
 *  NULL in the session is fine */
void configure_close(struct session *s);

/** Last word of the path, "surrogate-agent", "test-policy"; NULL: neither in
 *  configuration mode nor in that of a test command */
const char *configure_word(const struct session *s);

/** Where the session is, with the arguments of a test command too, and the sub-elements of the object at hand that the
 *  field holds */
struct place configure_place(const struct session *s);
const struct items *configure_items(const struct session *s,
				    const struct field *f);

/** Where the objects like the one at hand are: the configuration, or the object
 *  above it */
struct keys configure_keys(const struct session *s);

/** Does the first word of a line name a secret parameter of the object at hand? */
bool configure_names_secret(const struct session *s, const char *line);

/** Object at hand; NULL: none */
const void *configure_item(const struct session *s);

/** The editing configuration; NULL: it is to be loaded first */
const struct config *configure_editing(const struct session *s);

/**
 * Load the editing configuration, and then run a line
 *
 * @param s     Session; its answer ends with the line
 * @param line  Line; copied
 */
void configure_load(struct session *s, const char *line);

/**
 * Do what a word of the place says
 *
 * @param s       Session in configuration mode, editing loaded
 * @param choice  Word of place_words or place_top
 * @param line    The line as typed, from this word on
 * @param rest    What stands behind the word, as typed
 *
 * @return What of the rest is to be run as a line of its own; NULL: nothing
 */
const char *configure_run(struct session *s, const struct choice *choice,
			  const char *line, const char *rest);

/** `exit` and `quit` where no object is at hand */
void configure_leave(struct session *s, bool quits);

/** A question was not answered: all stays as it is */
void configure_cancel(struct session *s);

/** End of a batch: an object at hand that is not stored is an error */
void configure_end(struct session *s);

/** `show configuration [short] [ELEMENT [KEY]]`: words from `at` */
void configure_show(struct session *s, const struct words *w, uint32_t at);

/** The element that a word stands for, in full or shortened; NULL: said so */
const struct element *configure_element(struct session *s, const char *typed);

/** `show running-config [ELEMENT [KEY]]`: words from `at` */
void configure_show_running(struct session *s, const struct words *w,
			    uint32_t at);
