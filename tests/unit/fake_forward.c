/*
 * A media thread that forwards nothing: flows are remembered, not opened
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "store/base.h"
#include "tests/unit/fake_forward.h"

enum {
	FLOWS = 4096
};

static struct flow {
	struct flow_setup setup;
	flow_h *h;
	void *arg;
	bool open, closing;
} flows[FLOWS];

int forward_open(struct forward **fp, const struct forward_setup *setup)
{
	(void)setup;
	*fp = NULL;

	return 0;
}

void forward_close(struct forward *f)
{
	(void)f;
}

int flow_open(uint32_t *flowp, struct forward *f,
	      const struct flow_setup *setup, flow_h *h, void *arg)
{
	(void)f;
	for (uint32_t i = 1; i < FLOWS; i++) {
		if (flows[i].open || flows[i].closing)
			continue;
		flows[i].setup = *setup;
		flows[i].h = h;
		flows[i].arg = arg;
		flows[i].open = true;
		*flowp = i;
		return 0;
	}

	return ENOSPC;
}

void flow_change(struct forward *f, uint32_t flow,
		 const struct flow_setup *setup)
{
	int fd[2];
	(void)f;

	if (!flow || !flows[flow].open)
		return;
	memcpy(fd, flows[flow].setup.fd, sizeof(fd));
	flows[flow].setup = *setup;
	memcpy(flows[flow].setup.fd, fd, sizeof(fd));
}

void flow_expect(struct forward *f, uint32_t flow)
{
	(void)f;
	(void)flow;
}

void flow_close(struct forward *f, uint32_t flow)
{
	(void)f;
	if (!flow || !flows[flow].open)
		return;
	for (int i = 0; i < 2; i++)
		if (flows[flow].setup.fd[i] >= 0)
			(void)close(flows[flow].setup.fd[i]);
	flows[flow].open = false;
	flows[flow].closing = true;
}

void flow_forget(struct forward *f, uint32_t flow)
{
	(void)f;
	if (flow)
		flows[flow].h = NULL;
}

void flow_ask(struct forward *f, uint32_t flow, flow_h *h, void *arg)
{
	(void)f;
	(void)flow;
	(void)h;
	(void)arg;
}

uint32_t forward_flows(const struct forward *f)
{
	(void)f;
	return (uint32_t)fake_flows();
}

enum packet_kind packet_kind(const uint8_t *p, size_t n)
{
	(void)p;
	(void)n;
	return PACKET_NONE;
}

const struct flow_setup *fake_flow(uint32_t flow)
{
	return flow && flows[flow].open ? &flows[flow].setup : NULL;
}

void fake_forward_settle(void)
{
	for (uint32_t i = 1; i < FLOWS; i++) {
		struct flow_report r = { .flow = i };

		if (!flows[i].closing)
			continue;
		flows[i].closing = false;
		if (flows[i].h)
			flows[i].h(i, FLOW_CLOSED, &r, flows[i].arg);
	}
}

void fake_forward_silent(size_t n)
{
	for (uint32_t i = 1; i < FLOWS; i++) {
		struct flow_report r = { .flow = i };

		if (!flows[i].open || n--)
			continue;
		if (flows[i].h)
			flows[i].h(i, FLOW_SILENT, &r, flows[i].arg);
		return;
	}
}

size_t fake_flows(void)
{
	size_t n = 0;

	for (uint32_t i = 1; i < FLOWS; i++)
		n += flows[i].open;

	return n;
}

void fake_forward_reset(void)
{
	for (uint32_t i = 1; i < FLOWS; i++)
		if (flows[i].open)
			flow_close(NULL, i);
	memset(flows, 0, sizeof(flows));
}
