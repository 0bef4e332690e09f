/*
 * What the database remembers of AoRs: rows out, rows in
 */
#pragma once

#include "sbc/herd.h"

/** Write the row of an AoR (behaviour.md 4.7) */
void recall_store(struct registration *r);

/** Read all rows; each waits for its AoR. 0; EIO; ENOMEM */
int recall_load(struct surrogates *all);

/** Take up what the database remembers of an AoR, if anything */
void recall_take(struct registration *r);

/** Rows that no AoR has claimed: drop them, also in the database */
void recall_drop(struct surrogates *all);
/** ... only in memory */
void recall_free(struct surrogates *all);
