/*
 * session-timer-profile: how the SBC keeps sessions alive
 */
#include "store/elements/session_timer_profile.h"

/* clang-format off */
static const char *const refresher_words[] = { "uac", "uas", NULL };

#define S session_timer_profile
static const struct field session_timer_profile_fields[] = {
	NAME(S, name, "name", .flags = KEY | REQUIRED,
		.help = "Name that sip-interfaces use",
		.source = "ACLI"),
	UINT(S, session_expires, "session-expires", .dflt = "1800", .min = 64, .max = 999999999, .unit = "s",
		.help = "Session interval that the SBC asks for",
		.source = "RFC 4028 4"),
	UINT(S, min_se, "min-se", .dflt = "90", .min = 90, .max = 999999999, .unit = "s",
		.help = "Shortest session interval, less is answered 422",
		.source = "RFC 4028 5"),
	FLAG(S, force_reinvite, "force-reinvite", .dflt = "disabled",
		.help = "Refresh with re-INVITE, also where the peer allows UPDATE",
		.source = "RFC 4028 7.4"),
	WORD(S, request_refresher, "request-refresher", .dflt = "uac", .words = refresher_words,
		.help = "Who refreshes, in requests of the SBC; uac is the SBC",
		.source = "RFC 4028 7.1"),
	WORD(S, response_refresher, "response-refresher", .dflt = "uas", .words = refresher_words,
		.help = "Who refreshes, in answers to peers that leave it open; uas is the SBC",
		.source = "RFC 4028 9"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_session_timer_profile = {
	.name = "session-timer-profile",
	.folder = "session-router",
	.size = sizeof(struct session_timer_profile),
	.fields = session_timer_profile_fields,
	.help = "How the SBC keeps the sessions of an interface alive",
};
/* clang-format on */
