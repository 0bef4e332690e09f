/*
 * The table of all commands: match, abbreviate, help
 */
#pragma once

#include "cli/choices.h"
#include "cli/session.h"

/**
 * Run one line in a session; the answer begins in s->reply
 *
 * @param s     Session
 * @param line  At most LINE_MAX_BYTES bytes, ended by zero; copied
 */
void commands_run(struct session *s, const char *line);

/** The n-th command for people: its words and what it does; false: there is none */
bool commands_text(size_t n, const char **words, const char **help,
		   bool *superuser);

/** End the answer in s->reply with a prompt, when nothing more comes of it */
void commands_end(struct session *s);

/** Add the first words of all commands of a mode */
void commands_add(struct choices *c, enum mode mode);

/**
 * Words that may follow the first words of a command
 *
 * @param c      Appended
 * @param mode   Mode
 * @param words  First words, perhaps shortened
 * @param n      How many
 * @param used   Set to how many of them are words of a command
 *
 * @return Are they all the words of one? Then arguments follow
 */
bool commands_next(struct choices *c, enum mode mode, char *const *words,
		   uint32_t n, uint32_t *used);

/** The words of the command that these stand for, in full; empty: of none */
void commands_name(enum mode mode, char *const *words, uint32_t n, char *name,
		   size_t size);
