/*
 * Rows of CSV text (RFC 4180), each with its line and what is wrong with it
 */
#include <string.h>
#include "store/csv.h"

static void field_put(struct csv *csv, char c)
{
	size_t *n = &csv->length[csv->n];

	if (*n == CSV_FIELD || csv->used + 1 >= CSV_ROW) {
		csv->why = "has a value that is too long";
		return;
	}
	if ((unsigned char)c < 0x20 || c == 0x7f)
		csv->why = "has a control character";
	csv->bytes[csv->used++] = c;
	++*n;
}

/* Inside quotes a doubled quote is one, and a line may end */
static void quoted_take(struct csv *csv)
{
	for (csv->p++; csv->p < csv->end; csv->p++) {
		if (*csv->p == '\n')
			csv->next++;
		if (*csv->p != '"') {
			field_put(csv, *csv->p);
			continue;
		}
		if (csv->p + 1 < csv->end && csv->p[1] == '"') {
			field_put(csv, '"');
			csv->p++;
			continue;
		}
		csv->p++;
		return;
	}
	csv->why = "has a quote that is not closed";
}

static bool is_at_end(const struct csv *csv)
{
	return csv->p == csv->end || *csv->p == '\n' ||
	       (*csv->p == '\r' && csv->end - csv->p > 1 && csv->p[1] == '\n');
}

static void field_take(struct csv *csv)
{
	bool room = csv->n < CSV_COLUMNS;
	int n = csv->n;

	/* What has no column is read over in the place of the last one */
	if (!room) {
		csv->n = CSV_COLUMNS - 1;
		csv->why = "has too many columns";
	}
	csv->field[csv->n] = csv->bytes + csv->used;
	csv->length[csv->n] = 0;
	if (csv->p < csv->end && *csv->p == '"') {
		quoted_take(csv);
		if (!is_at_end(csv) && *csv->p != ',')
			csv->why = "has text behind a quote";
	}
	for (; !is_at_end(csv) && *csv->p != ','; csv->p++) {
		if (*csv->p == '"')
			csv->why = "has a quote inside a value";
		field_put(csv, *csv->p);
	}
	if (csv->used == CSV_ROW) /* only after it was found too long */
		csv->used--;
	csv->bytes[csv->used++] = '\0';
	csv->n = room ? n + 1 : CSV_COLUMNS;
}

bool csv_row(struct csv *csv)
{
	for (;;) {
		csv->line = csv->next++;
		if (csv->p == csv->end)
			return false;
		if (!is_at_end(csv))
			break;
		csv->p += *csv->p == '\r' ? 2 : 1;
	}

	csv->n = 0;
	csv->used = 0;
	csv->why = NULL;
	for (;;) {
		field_take(csv);
		if (is_at_end(csv))
			break;
		csv->p++; /* the comma */
	}
	if (csv->p < csv->end)
		csv->p += *csv->p == '\r' ? 2 : 1;

	return true;
}

void csv_begin(struct csv *csv, const struct pl *text)
{
	memset(csv, 0, sizeof(*csv));
	csv->p = text->l ? text->p : "";
	csv->end = csv->p + text->l;
	csv->next = 1;
	/* As spreadsheets write it */
	if (text->l >= 3 && !memcmp(csv->p, "\xef\xbb\xbf", 3))
		csv->p += 3;
	csv->from = csv->p;
}

size_t csv_done(const struct csv *csv)
{
	return (size_t)(csv->p - csv->from);
}

size_t csv_total(const struct csv *csv)
{
	return (size_t)(csv->end - csv->from);
}
