/*
 * Put a record that is given by its fields
 */
#pragma once

#include "store/records.h"

static inline int record_put(struct database *db, const struct record *record)
{
	char room[SLIP_ROOM];
	struct slip slip;
	int err;

	slip_init(&slip, room);
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		slip_put(&slip, i, record->field[i].p, record->field[i].l);
	err = records_put(db, &slip);
	slip_finish(&slip);

	return err;
}
