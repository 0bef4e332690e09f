"""
A trunk: registrar and carrier that challenges and really checks what comes back.
"""
import re
from urllib.parse import unquote

from .sip import SDP, Endpoint, digest, parameters, token, user_hash


class Trunk(Endpoint):
    def __init__(self, ip, sbc_ip, media_port=30100):
        self.sbc = (sbc_ip, 5060)
        self.media_port = media_port
        self.passwords = {"reg-a": "secret-reg-a", "reg-b": "secret-reg-b", "a1": "secret-a1",
                          "b1": "secret-b1"}
        self.register_challenge = dict(status=401, realm="trunk.example", algorithms=["MD5"], qop="auth")
        self.invite_challenge = dict(status=407, realm="trunk.example", algorithms=["MD5"], qop="auth")
        self.dialog_challenge = None  # the same for requests inside a dialog
        self.granted = 600
        self.answers = [180, 200]
        self.invite_answer = None     # function(request): True when it answered itself
        self.register_answer = None
        self.nonces = {}              # nonce: last nc
        self.offers = {}              # nonce: (rule, opaque, header of the answer)
        self.good = []                # (method, username, nc) of credentials that were right
        self.one_nonce_each = False   # a nonce serves one request
        self.register_headers = []
        self.bindings = {}
        super().__init__(ip)

    # --- digest

    def challenge(self, request, rule, stale=False):
        name = "WWW-Authenticate" if rule["status"] == 401 else "Proxy-Authenticate"
        nonce = token(24)
        self.nonces[nonce] = 0
        opaque = rule.get("opaque", f"o{nonce[:6]}")
        self.offers[nonce] = (rule, opaque, name.replace("enticate", "orization").replace("WWW-", ""))
        headers = []
        for realm in [rule["realm"], *rule.get("more", [])]:
            for algorithm in rule["algorithms"]:
                value = f'Digest realm="{realm}", nonce="{nonce}"'
                if opaque is not None:
                    value += f', opaque="{opaque}"'
                if rule.get("qop"):
                    value += f', qop="{rule["qop"]}"'
                if algorithm:
                    value += f", algorithm={algorithm}"
                if rule.get("userhash"):
                    value += ", userhash=true"
                if stale:
                    value += ", stale=true"
                headers.append((name, value))
        return self.reply(request, rule["status"], headers=headers + rule.get("headers", []))

    def account(self, p):
        """User behind credentials, also when they carry its hash only"""
        if "username*" in p:  # RFC 7616 3.4: charset'language'percent-encoded
            return unquote(p["username*"].removeprefix("UTF-8''"))
        if p.get("userhash") != "true":
            return p.get("username")
        return next((u for u in self.passwords if user_hash(p, u) == p["username"]), None)

    def is_right(self, request, p, name):
        """Are these credentials what this trunk asked for, and correct?"""
        if p.get("nonce") not in self.offers:
            return None
        rule, opaque, expected = self.offers[p["nonce"]]
        user = self.account(p)
        if user not in self.passwords or name != expected:
            return None
        algorithm, qop = p.get("algorithm"), p.get("qop")
        if algorithm not in rule["algorithms"] or p.get("opaque") != opaque or \
                p["uri"] != request.uri or bool(rule.get("userhash")) != ("userhash" in p):
            return None
        if bool(rule.get("qop")) != bool(qop) or \
                qop and qop not in rule["qop"].replace(" ", "").split(","):
            return None
        if digest(p, request.method, self.passwords[user], request.body, user) != p["response"]:
            return None
        nc = int(p.get("nc", "1"), 16)
        if qop and nc <= self.nonces[p["nonce"]]:
            return None
        return user, nc

    def proven(self, request, rule):
        """Does the request carry good credentials for each realm of this rule?"""
        name = "Authorization" if rule["status"] == 401 else "Proxy-Authorization"
        wanted, found = [rule["realm"], *rule.get("needs", [])], {}
        for value in request.all(name):
            p = parameters(value)
            right = p.get("realm") in wanted and self.is_right(request, p, name)
            if right:
                found[p["realm"]] = (*right, p["nonce"])
        if len(found) < len(wanted):
            return None
        for user, nc, nonce in found.values():
            self.nonces[nonce] = 1 << 32 if self.one_nonce_each else nc
            self.good.append((request.method, user, nc))
        return found[rule["realm"]][0]

    def admits(self, request, rule):
        if not rule or self.proven(request, rule):
            return True
        self.challenge(request, rule)
        return False

    # --- requests

    def serve(self, request):
        method = request.method
        inside = ";tag=" in request.get("To")
        if method == "ACK":
            return
        if method == "REGISTER":
            if self.register_answer and self.register_answer(request):
                return
            if self.admits(request, self.register_challenge):
                self.register(request)
        elif method == "CANCEL":
            self.reply(request, 200)
            invite = next((m for m in reversed(self.requests("INVITE"))
                           if m.call_id == request.call_id and m.cseq == request.cseq), None)
            if invite and self.answers and self.answers[-1] < 200:
                self.reply(invite, 487, tag=self.tag_of(invite))
        elif inside:
            if self.admits(request, self.dialog_challenge):
                self.inside(request)
        elif method == "INVITE":
            if self.invite_answer and self.invite_answer(request):
                return
            if self.admits(request, self.invite_challenge):
                self.answer(request)
        else:
            self.reply(request, 200)

    def tag_of(self, request):
        return "t" + re.sub(r"\W", "", request.call_id)[:12]

    def register(self, request):
        contact = request.contact
        expires = request.get("Expires") or "3600"
        granted = 0 if expires == "0" else min(int(expires), self.granted)
        self.bindings[(request.user("To"), request.host("To"))] = contact
        headers = [("Contact", f"<{contact}>;expires={granted}")] if granted else []
        self.reply(request, 200, headers=headers + self.register_headers)

    def sdp(self, **changes):
        text = SDP.format(ip=self.ip, port=changes.pop("port", self.media_port))
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    def answer(self, request):
        for code in self.answers:
            body = self.sdp() if code == 200 else ""
            self.reply(request, code, tag=self.tag_of(request), body=body,
                       headers=[("Contact", f"<sip:carrier@{self.ip}:{self.port}>")])

    def inside(self, request):
        if request.method == "INVITE":
            self.reply(request, 200, headers=[("Contact", f"<sip:carrier@{self.ip}:{self.port}>")],
                       body=self.sdp() if request.body else self.sdp())
        else:
            self.reply(request, 200)

    # --- what tests ask

    def registers(self):
        return self.requests("REGISTER")

    def invites(self):
        return [m for m in self.requests("INVITE") if ";tag=" not in m.get("To")]

    def credentials(self, request):
        values = request.all("Proxy-Authorization") + request.all("Authorization")
        return [parameters(v) for v in values]

    def calls(self, uri, body=None, to=None, headers=(), **fields):
        """Call a PBX behind the SBC"""
        from .pbx import Call
        invite = self.request("INVITE", uri, to or f"<{uri}>", headers,
                              self.sdp() if body is None else body,
                              from_=fields.pop("from_", f"<sip:0301234@{self.ip}>"), **fields)
        return Call(self, invite, self.sbc)
