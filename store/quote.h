/*
 * Text of call records, quoted for CSV and for JSON
 *
 * The texts of a record lie one behind the other, so one look at all of them
 * tells whether any needs an escape. Nearly never does one: then each is copied in
 * steps of 16 bytes, whatever its length, and what was copied beyond its end is
 * written over by what comes next.
 */
#pragma once

#include "store/base.h"

enum {
	QUOTE_SLACK = 16, /* bytes that may be read behind the last text */
	QUOTE_LABEL = 32  /* a name with its quotes, comma and colon [bytes] */
};

/** Texts, one behind the other, and QUOTE_SLACK more bytes that may be read */
struct strip {
	const uint16_t *length; /* of each */
	const char *text;
	size_t n;     /* how many; at least one */
	size_t bytes; /* of all */
};

/** The n-th text */
struct pl strip_get(const struct strip *s, size_t n);

/** How a member of a JSON object begins */
struct label {
	char text[QUOTE_LABEL]; /* `,"name":` */
	uint8_t length;
	bool number; /* without quotes where its text is a number */
};

/** Make a label. 0; ENAMETOOLONG */
int label_make(struct label *l, const char *name, bool number);

/** Bytes that quoting n texts of so many bytes takes at most, and more than it
 *  leaves */
#define QUOTE_CSV_MOST(n, bytes)  (2 * (bytes) + 3 * (n) + QUOTE_SLACK)
#define QUOTE_JSON_MOST(n, bytes) (6 * (bytes) + 3 * (n) + 2 + QUOTE_SLACK)
#define QUOTE_OBJECT_MOST(n, bytes)                                            \
	(QUOTE_JSON_MOST(n, bytes) + QUOTE_LABEL * ((n) + 1))

/**
 * Write a line of CSV; in quotes each text with a comma, a quote or the end of a
 * line in it (RFC 4180 2)
 *
 * @param p  At least QUOTE_CSV_MOST bytes; not ended by zero
 * @param s  Any bytes
 *
 * @return Behind the end of the line
 */
char *quote_csv(char *p, const struct strip *s);

/**
 * Write an array of JSON strings (RFC 8259 7); bytes from 0x80 on stay as they
 * are
 *
 * @param p  At least QUOTE_JSON_MOST bytes; not ended by zero
 * @param s  Any bytes
 *
 * @return Behind the bracket
 */
char *quote_json(char *p, const struct strip *s);

/**
 * Write a line with a JSON object; texts that are empty are left out
 *
 * @param p       At least QUOTE_OBJECT_MOST bytes; not ended by zero
 * @param s       Any bytes
 * @param labels  As many as texts
 *
 * @return Behind the end of the line
 */
char *quote_object(char *p, const struct strip *s, const struct label *labels);
