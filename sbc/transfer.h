/*
 * REFER carried out by the SBC: call the target, move the other side there
 *
 * Three dialogs meet: the referrer's and the other side's, which are one call,
 * and that with the target. The target is called by a call of its own, in which
 * a stand-in takes the place of the other side, or has a call already that
 * Replaces names. When it has answered, the other side is moved to it by a
 * re-INVITE, and the two legs change their places; what is left of the
 * referrer's calls ends (RFC 3515, RFC 5589; behaviour.md 3.6).
 */
#pragma once

#include "sbc/call.h"

/** For struct call_home */
extern const struct transfer_user transfer_user;
