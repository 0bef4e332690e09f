"""
A PBX that can neither register nor authenticate: it calls, and it answers calls.
"""
import re

from .sip import SDP, Endpoint, Message, token


class Call:
    """A call that this end began: what it sent and heard"""

    def __init__(self, pbx, invite, to):
        self.pbx, self.invite, self.to = pbx, invite, to
        self.since = len(pbx.seen)
        self.cseq = invite.cseq
        self.final = None
        pbx.send(invite, to)

    def _mine(self, message):
        return message.call_id == self.invite.call_id

    @property
    def statuses(self):
        """Status codes of the INVITE in their order, repetitions left out"""
        codes = []
        for m in self.pbx.seen[self.since:]:
            if m.status and self._mine(m) and m.get("CSeq") == self.invite.get("CSeq") and \
                    (not codes or codes[-1] != m.status):
                codes.append(m.status)
        return codes

    def answer(self, code=None, within=3.0):
        """Wait for an answer: this code, or any final one"""
        return self.pbx.wait(lambda m: m.status and self._mine(m) and
                             m.get("CSeq") == self.invite.get("CSeq") and
                             (m.status == code if code else m.status >= 200), within, self.since)

    def until_answered(self, within=3.0):
        self.final = self.answer(within=within)
        assert self.final.status == 200, self.final
        self.ack()
        return self

    def until_refused(self, within=3.0):
        self.final = self.answer(within=within)
        assert self.final.status >= 300, self.final
        self.ack()
        return self.final

    @property
    def routes(self):
        """Route set of the dialog (RFC 3261 12.1.2)"""
        if self.final is None or self.final.status >= 300:
            return []
        return [("Route", value) for value in reversed(self.final.all("Record-Route"))]

    def ack(self):
        final = self.final
        uri = final.contact if final.status < 300 else self.invite.uri
        via = self.invite.get("Via") if final.status >= 300 else \
            f"SIP/2.0/UDP {self.pbx.ip}:{self.pbx.port};branch=z9hG4bK{token()};rport"
        self.pbx.send(Message(f"ACK {uri} SIP/2.0", [
            ("Via", via), ("Max-Forwards", "70"), ("From", self.invite.get("From")),
            ("To", final.get("To")), ("Call-ID", self.invite.call_id),
            ("CSeq", f"{self.invite.cseq} ACK")] + self.routes), self.to)

    def cancel(self, reason=None):
        self.pbx.send(Message(f"CANCEL {self.invite.uri} SIP/2.0", [
            ("Via", self.invite.get("Via")), ("Max-Forwards", "70"),
            ("From", self.invite.get("From")), ("To", self.invite.get("To")),
            ("Call-ID", self.invite.call_id), ("CSeq", f"{self.invite.cseq} CANCEL")] +
            ([("Reason", reason)] if reason else [])), self.to)

    def within_dialog(self, method, body="", headers=(), ctype="application/sdp"):
        """Send a request inside the dialog; returns it"""
        self.cseq += 1
        message = Message(f"{method} {self.final.contact} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {self.pbx.ip}:{self.pbx.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"), ("From", self.invite.get("From")),
            ("To", self.final.get("To")), ("Call-ID", self.invite.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            ("Contact", f"<sip:test@{self.pbx.ip}:{self.pbx.port}>")] + self.routes + list(headers))
        if body:
            message.headers.append(("Content-Type", ctype))
            message.body = body
        self.pbx.send(message, self.to)
        return message

    def answer_to(self, request, within=3.0):
        """Final answer to a request of ours inside the dialog"""
        return self.pbx.wait(lambda m: m.status and m.status >= 200 and self._mine(m) and
                             m.get("CSeq") == request.get("CSeq"), within)

    def ack_to(self, request, final):
        self.pbx.send(Message(f"ACK {final.contact} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {self.pbx.ip}:{self.pbx.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"), ("From", self.invite.get("From")), ("To", final.get("To")),
            ("Call-ID", self.invite.call_id), ("CSeq", f"{request.cseq} ACK")] + self.routes), self.to)

    def hang_up(self, within=3.0):
        bye = self.within_dialog("BYE")
        answer = self.answer_to(bye, within)
        assert answer.status == 200, answer
        return bye


class Taken:
    """A call that this end answered, for requests of its own inside the dialog"""

    def __init__(self, peer, invite):
        self.peer, self.invite = peer, invite
        self.ok = next(m for m in reversed(peer.sent) if m.status == 200 and
                       m.call_id == invite.call_id and m.get("CSeq") == invite.get("CSeq"))
        self.cseq = 100

    def send(self, method, body="", headers=(), ctype="application/sdp"):
        self.cseq += 1
        request = Message(f"{method} {self.invite.contact} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {self.peer.ip}:{self.peer.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"), ("From", self.ok.get("To")), ("To", self.ok.get("From")),
            ("Call-ID", self.invite.call_id), ("CSeq", f"{self.cseq} {method}"),
            ("Contact", self.ok.get("Contact")), *headers])
        if body:
            request.headers.append(("Content-Type", ctype))
            request.body = body
        self.peer.send(request, self.peer.sbc)
        return request

    def answer_to(self, request, within=3.0):
        return self.peer.wait(lambda m: m.status and m.status >= 200 and
                              m.call_id == request.call_id and
                              m.get("CSeq") == request.get("CSeq"), within)


class Pbx(Endpoint):
    def gives_up(self, cancel):
        """487 to the INVITE that is cancelled, with the tag it rang with"""
        ringing = [m for m in self.sent if m.status and m.call_id == cancel.call_id and
                   m.get("CSeq") == f"{cancel.cseq} INVITE"]
        invite = next(m for m in self.seen if m.status is None and m.method == "INVITE" and
                      m.call_id == cancel.call_id)
        if ringing and ringing[-1].status < 200:
            self.reply(invite, 487, tag=ringing[-1].tag("To") or None)

    def __init__(self, ip, sbc_ip, domain, media_port=30000, port=5060):
        self.sbc = (sbc_ip, 5060)
        self.domain = domain
        self.media_port = media_port
        self.answers = [180, 200]   # to an INVITE; a last one below 200 keeps ringing
        self.answer_headers = []
        super().__init__(ip, port)

    def sdp(self, **changes):
        text = SDP.format(ip=changes.pop("ip", self.ip), port=changes.pop("port", self.media_port))
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    def calls(self, number, user="4930100", body=None, headers=(), domain=None, **fields):
        invite = self.request(
            "INVITE", fields.pop("uri", f"sip:{number}@{self.sbc[0]}"),
            f"<sip:{number}@{self.sbc[0]}>",
            headers, self.sdp() if body is None else body,
            from_=fields.pop("from_", f"<sip:{user}@{domain or self.domain}>"),
            contact_user=user, **fields)
        return Call(self, invite, self.sbc)

    def takes(self, within=3.0, since=0):
        """Wait until a call that came here stands, and return it"""
        ack = self.wait(lambda m: m.status is None and m.method == "ACK", within, since)
        return Taken(self, next(m for m in self.seen if m.status is None and
                                m.method == "INVITE" and m.call_id == ack.call_id))

    def serve(self, request):
        if request.method == "INVITE":
            tag = re.search(r"tag=([^;]+)", request.get("To"))
            tag = tag.group(1) if tag else token()
            contact = ("Contact", f"<sip:{request.uri.split(':')[1].split('@')[0]}@{self.ip}:{self.port}>")
            for code in self.answers:
                body = self.sdp() if code == 200 else ""
                self.reply(request, code, tag=tag, headers=[contact, *self.answer_headers], body=body)
        elif request.method in ("BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "NOTIFY", "MESSAGE",
                                "REFER"):
            self.reply(request, 200)
            if request.method == "CANCEL" and self.answers and self.answers[-1] < 200:
                self.gives_up(request)
