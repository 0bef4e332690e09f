/*
 * Triggered mode: is the PBX active, or silent too long
 */
#pragma once

#include "sbc/herd.h"

/** The agent is taken up or changed: watch for silence from now on */
void activity_watch(struct herd *h);

/** The agent is deleted */
void activity_end(struct herd *h);

/** The PBX did something */
void activity_seen(struct herd *h);

/** A call begins, +1, or is over, -1 */
void activity_call(struct herd *h, int change);

/** Is the PBX silent: code to answer with; 0: not silent; UINT16_MAX:
 *  dropresponse */
uint16_t activity_silent(const struct herd *h);
