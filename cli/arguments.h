/*
 * Words that may stand behind a command: offered, and completed when shortened
 */
#pragma once

#include "store/config.h"
#include "cli/choices.h"
#include "cli/reply.h"
#include "cli/words.h"

/**
 * Add what may come next
 *
 * @param c        Appended: words of the grammar, and names that exist
 * @param command  In full words: "verify-config"
 * @param words    Words behind it, in front of the next one
 * @param n        Their number
 * @param cfg      Where names are looked up; NULL: none are
 */
void arguments_add(struct choices *c, const char *command, char *const *words,
		   uint32_t n, const struct config *cfg);

/**
 * Put the whole words of the grammar in the place of shortened ones; names are
 * never shortened, and what is unknown stays as it is
 *
 * @param r        Told of a word that is ambiguous
 * @param command  In full words
 * @param w        Words of the line, changed
 * @param at       First behind the command
 *
 * @return Is every word clear?
 */
bool arguments_expand(struct reply *r, const char *command, struct words *w,
		      uint32_t at);

/**
 * Read a number behind a command
 *
 * @param r     Told what is wrong: it lacks, is none, or is out of range
 * @param w     Words of the line
 * @param at    Where it stands
 * @param name  What it is called: "ID", or the word in front of it
 * @param min   Least
 * @param max   Greatest
 * @param np    Set to it; untouched when it is not one
 *
 * @return Is it one?
 */
bool arguments_number(struct reply *r, const struct words *w, uint32_t at,
		      const char *name, uint64_t min, uint64_t max,
		      uint64_t *np);

/** The n-th word; NULL: there is none */
typedef const char *(words_h)(int n);

/** States of AoRs and of calls, as they are shown */
words_h aor_states, call_states;

/** The one of the words that was typed, in any case; NULL: said which there are */
const char *state_pick(struct reply *r, const char *typed, words_h *words);
