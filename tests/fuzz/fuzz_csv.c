/*
 * Any bytes as CSV
 *
 * Each row lies within the text, its values are ended by zero and as long as
 * they say; all bytes are read over.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "store/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct csv csv;
	char *mem = malloc(size ? size : 1);
	struct pl text = { mem, size };
	uint32_t line = 0;

	memcpy(mem, data, size);
	csv_begin(&csv, &text);
	while (csv_row(&csv)) {
		assert(csv.line > line);
		assert(csv.n > 0 && csv.n <= CSV_COLUMNS);
		line = csv.line;
		for (int i = 0; i < csv.n && !csv.why; i++)
			assert(strlen(csv.field[i]) == csv.length[i]);
	}
	assert(csv_done(&csv) == csv_total(&csv));
	free(mem);
	return 0;
}
