/*
 * Answers of DNS servers, as hostile as they come
 *
 * Built from the resolver's own source, since nobody else reads answers. The
 * first byte chooses the type that was asked for.
 */
#include "sbc/resolver.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = { ns_t_a, ns_t_aaaa, ns_t_srv, ns_t_naptr };
	const struct record *order[RECORDS];
	struct answer *a = NULL;

	if (!size)
		return 0;
	if (answer_read(&a, types[data[0] % 4], data + 1, size - 1))
		return 0;

	assert(a->n > 0 && a->n <= RECORDS);
	sort_records(order, a);
	draw_by_weight(order, a->n);
	for (uint32_t i = 0; i < a->n; i++) {
		const struct record *rec = order[i];

		assert(!i || order[i - 1]->priority <= rec->priority);
		assert(!rec->name || strlen(rec->name) < NAME);
		assert(rec->name || sa_isset(&rec->sa, SA_ADDR));
	}
	mem_deref(a);
	return 0;
}
