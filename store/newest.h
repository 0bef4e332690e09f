/*
 * Which rows of a log are the newest of their key
 *
 * A log is a table that only grows at its end: each row has a number above all
 * before it, and of the rows of a key the one with the highest number counts.
 * Rows stand in segments of NEWEST_SEGMENT numbers. Here is kept which row of a
 * key counts, and how many of each segment do: a segment in which none does any
 * more can be dropped as a whole. A key is a keyed hash of 64 bits, never 0.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	NEWEST_SEGMENT = 1024 /* numbers */
};

struct newest {
	struct newest_slot *slots; /* open addressing; key 0: free */
	size_t size, count;        /* slots; keys */
	uint32_t *live;            /* rows that count, of each segment */
	size_t head, n, room;      /* of live: the oldest segment, how many */
	uint64_t first;            /* the oldest segment */
};

/** Empty it; frees what it had */
void newest_finish(struct newest *w);

/**
 * Make room for one more key, and for a row of this number
 *
 * @return 0; ENOMEM; EBADMSG the number is below the first one, or so far above
 *         that nobody can have counted up to it
 */
int newest_room(struct newest *w, uint64_t number);

/** The row of a key that counts; 0: none */
uint64_t newest_get(const struct newest *w, uint64_t key);

/** This row of a key counts from now on; newest_room came before */
void newest_set(struct newest *w, uint64_t key, uint64_t number);

/** No row of the key counts any more */
void newest_forget(struct newest *w, uint64_t key);

/** Numbers of the oldest segment, and how many of its rows count; segments in all */
size_t newest_oldest(const struct newest *w, uint64_t *fromp, uint64_t *endp,
		     uint32_t *livep);

/** The oldest segment is gone; none of its rows counted */
void newest_drop(struct newest *w);
