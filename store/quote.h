/*
 * Text of call records, quoted for CSV and for JSON
 *
 * Written for each field of each record: what needs no escape, as nearly all, is
 * found without a branch for each byte and copied in one piece.
 */
#pragma once

#include "store/base.h"

/** Bytes that n bytes of text take at most */
#define QUOTE_CSV_MOST(n)  (2 * (n) + 2)
#define QUOTE_JSON_MOST(n) (6 * (n) + 2)

/**
 * Write a field of CSV; in quotes where a comma, a quote or the end of a line is
 * in it (RFC 4180 2)
 *
 * @param p     At least QUOTE_CSV_MOST bytes; not ended by zero
 * @param text  Any bytes
 *
 * @return Behind what was written
 */
char *quote_csv(char *p, const struct pl *text);

/**
 * Write a string of JSON (RFC 8259 7); bytes from 0x80 on stay as they are
 *
 * @param p     At least QUOTE_JSON_MOST bytes; not ended by zero
 * @param text  Any bytes
 *
 * @return Behind what was written
 */
char *quote_json(char *p, const struct pl *text);
